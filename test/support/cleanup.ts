import { after } from 'node:test';

/** What is to be done at the end. */
export type Action = () => unknown;

const pending: Action[] = [];

/**
 * Runs `action` when the tests of this file have ended, the last one given first. Unlike `after()`, which
 * belongs to whatever encloses it, a call in a `before()` hook does not run it at the end of that hook.
 */
export function atEnd(action: Action): void {
  pending.push(action);
}

/** One that fails keeps none of the others from running: they would leave processes and folders behind. */
export async function runAll(actions: Action[] = pending): Promise<void> {
  const errors: unknown[] = [];
  for (let action = actions.pop(); action; action = actions.pop()) {
    try {
      await action();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('; '));
}

after(() => runAll());
// Bun loads this file once for all test files, and runs its `after` with the first of them.
process.once('exit', () => {
  // Nothing can be waited for any more: what takes time ends with the process.
  for (const action of pending.splice(0).toReversed()) {
    try {
      action();
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`${String(error)}\n`);
    }
  }
});
