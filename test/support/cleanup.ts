import { after } from 'node:test';

const pending: (() => void)[] = [];

/**
 * Runs `action` when the tests of this file are over, the last one given first. Unlike `after()`, which belongs to
 * whatever encloses it, a call in a `before()` hook does not run it at the end of that hook.
 */
export function atEnd(action: () => void): void {
  pending.push(action);
}

function runAll(): void {
  for (let action = pending.pop(); action; action = pending.pop()) action();
}

after(runAll);
// Bun loads this file once for all test files, and runs its `after` with the first of them.
process.once('exit', runAll);
