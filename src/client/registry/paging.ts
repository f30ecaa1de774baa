import { BrokerError } from '../../protocol/errors.ts';
import { compareNames } from '../../protocol/registry/names.ts';

/** Most entries of one list: far more than a registry holds in memory. */
export const MAX_LISTED = 10_000_000;

/** Whether `next` begins a page other than the one after `after`, so that the list advances. */
export function leadsOn(next: string, after: string | undefined): boolean {
  return after === undefined || compareNames(next, after) > 0;
}

export function noEnd(what: string): BrokerError {
  return new BrokerError('internal', `The broker's list has no end: it sent ${what}`);
}
