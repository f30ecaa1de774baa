import { after } from 'node:test';

const pending: (() => void)[] = [];

/**
 * Runs `action` when the tests of this file are over, the last one given first. Unlike `after()`, which belongs to
 * whatever encloses it, a call in a `before()` hook does not run it at the end of that hook.
 */
export function atEnd(action: () => void): void {
  pending.push(action);
}

/** One that fails keeps none of the others from running: they would leave processes and folders behind. */
export function runAll(actions: (() => void)[] = pending): void {
  const errors: unknown[] = [];
  for (let action = actions.pop(); action; action = actions.pop()) {
    try {
      action();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('; '));
}

after(() => runAll());
// Bun loads this file once for all test files, and runs its `after` with the first of them.
process.once('exit', () => runAll());
