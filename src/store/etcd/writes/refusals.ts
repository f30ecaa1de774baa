import { BrokerError } from '../../../protocol/errors.ts';

/** The refusal of a write that others have overtaken too often. */
export function tooContended(name: string): BrokerError {
  return new BrokerError(
    'unavailable',
    `Cannot store the entry '${name}': too many write it at the same time; try again`,
    { retryAfter: 1 },
  );
}

/**
 * The refusal of a write whose outcome could not be found out.
 * @param cause why its answer was lost.
 * @param later why its outcome could not be found out, if there is a reason.
 */
export function outcomeUnknown(cause: unknown, later: unknown): BrokerError {
  const reasons = [cause, later].filter((error) => error instanceof Error).map(({ message }) => message);
  return new BrokerError(
    'outcome_unknown',
    `The write may have been done or not: ${reasons.join('; then ')}`,
    { cause },
  );
}
