import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `condition` returns a truthy value and returns it; throws, naming `what`, after `timeoutMs` (30
 * s, so that a busy machine is no failure). A condition that throws counts as not met yet.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<NonNullable<Awaited<T>>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`, { cause: last });
    }
    await sleep(10);
  }
}

/** Looks until it sees `wanted`; a failure shows the difference to what was last seen. */
export async function untilEqual(what: string, wanted: unknown, look: () => Promise<unknown>): Promise<void> {
  let last: unknown;
  const isThere = async (): Promise<boolean> => isDeepStrictEqual((last = await look()), wanted);
  await waitFor(what, isThere, 60_000).catch(() => assert.deepEqual(last, wanted, what));
}
