import { constants } from 'node:os';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/** Whether the disk, or the user's share of it, was full. */
export function isFull(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return true;
  // Node has no name for EDQUOT, and Deno has only the message.
  const { EDQUOT } = constants.errno;
  return errno === -EDQUOT || messageOf(error).includes(`(os error ${EDQUOT})`);
}

/**
 * Whether it is a failed fsync, or a device that fails: from then on writes to the disk cannot be trusted.
 */
export function isDiskFailure(error: unknown): boolean {
  if (isFull(error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === 'EIO' || syscall === 'fsync' || syscall === 'fdatasync';
}

/**
 * The system's error as a BrokerError: `storage_full` or `unavailable`, with the message "`what`: reason". A
 * BrokerError stays itself.
 */
export function asBrokerError(error: unknown, what: string): BrokerError {
  if (error instanceof BrokerError) return error;
  return new BrokerError(isFull(error) ? 'storage_full' : 'unavailable', `${what}: ${reasonOf(error)}`, {
    cause: error,
  });
}
