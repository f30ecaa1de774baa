import type { Entry } from '../../../protocol/registry/entry.ts';
import type { Guard, Mutation, Outcome } from '../../store.ts';

/** The result of a mutation for a state. */
export type Decision =
  | { readonly changes: true; readonly outcome: Extract<Outcome, { action: 'put' | 'delete' }> }
  | { readonly changes: false; readonly outcome: Outcome }
  | { readonly changes: false; readonly error: unknown };

/** @param state of the entry, and of the guarding entry. */
export function decide(
  name: string,
  mutation: Mutation,
  state: {
    readonly entry: Entry | undefined;
    readonly guarding?: { readonly entry: Entry } | undefined;
  },
  guard: Guard | undefined,
): Decision {
  const { entry: current } = state;
  try {
    guard?.check(guard.name === name ? current : state.guarding?.entry);
    const outcome = mutation(current);
    const { action } = outcome;
    if (action === 'put') return { changes: true, outcome };
    if (action === 'delete' && current !== undefined) return { changes: true, outcome };
    return { changes: false, outcome };
  } catch (error) {
    return { changes: false, error };
  }
}
