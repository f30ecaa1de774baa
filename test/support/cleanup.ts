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

/** The longest time that the process of a file of tests goes on after them, in milliseconds. */
const END_MS = 30_000;

/**
 * Ends this process with 1, and says what it still holds, where it goes on `withinMs` after its tests: a
 * connection that is left would hold up the whole run. Bun and Deno end theirs themselves.
 */
export function endInTime(withinMs: number = END_MS): void {
  if ('Bun' in globalThis || 'Deno' in globalThis) return;
  setTimeout(endNow, withinMs).unref();
}

function endNow(): void {
  const held = process.getActiveResourcesInfo().join(', ');
  process.stderr.write(`The tests have ended, and their process goes on; it holds: ${held}\n`);
  process.exit(1);
}

after(async () => {
  try {
    await runAll();
  } finally {
    endInTime();
  }
});
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
