import { BrokerError } from '../../protocol/errors.ts';
import { compareNames } from '../../protocol/registry/names.ts';

/** Most entries that a list may have: far more than a registry holds in memory. */
export const MAX_LISTED = 10_000_000;

/** Whether the pages after `next` are others than those after `after`. */
export function leadsOn(next: string, after: string | undefined): boolean {
  return after === undefined || compareNames(next, after) > 0;
}

export function noEnd(what: string): BrokerError {
  return new BrokerError('internal', `The broker's list has no end: it gave ${what}`);
}
