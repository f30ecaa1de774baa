import type { AuditConfig } from '../../config/schema.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { acquireLock, type FileLock, holderIn } from '../../store/file/lock.ts';
import { trailPath } from './broker-audit.ts';

/**
 * Reserves the file of a trail for one broker of this machine. Lines of two brokers would have the same numbers,
 * and one would put aside the file that the other writes.
 */
export interface TrailLock {
  /**
   * Reserves the file that a configuration names. The returned function releases the file that was reserved
   * before.
   * @param confirm called once it is reserved; where it rejects, only the former file remains reserved.
   * @throws BrokerError `invalid_config` where another broker has it, or the error of `confirm`. The former file
   * then remains reserved.
   */
  take(config: AuditConfig | undefined, confirm?: () => Promise<void>): Promise<() => Promise<void>>;
  release(): Promise<void>;
}

/** @param file the broker's configuration file. */
export function createTrailLock(file: string, log: Logger): TrailLock {
  let held: { readonly trail: string; readonly lock: FileLock } | undefined;

  async function lockOn(trail: string): Promise<FileLock | undefined> {
    try {
      return await acquireLock(trail);
    } catch (error) {
      const holder = holderIn(error);
      if (holder !== undefined)
        throw new BrokerError(
          'invalid_config',
          `Another broker${holder} writes the audit trail ${trail}: give each a file of its own, '_audit.file'`,
          { cause: error },
        );
      // The folder cannot be written. The trail reports that itself, and continues once the folder can be written.
      log.warn('nobody can tell whether another broker writes the audit trail', {
        file: trail,
        error: messageOf(error),
      });
      return undefined;
    }
  }

  return {
    async take(config, confirm = () => Promise.resolve()) {
      const trail = config?.to === 'file' ? trailPath(file, config) : undefined;
      const isHeld = trail !== undefined && trail === held?.trail;
      const lock = trail === undefined || isHeld ? undefined : await lockOn(trail);
      try {
        await confirm();
      } catch (error) {
        await lock?.release();
        throw error;
      }
      if (isHeld) return () => Promise.resolve();
      const former = held;
      held = trail !== undefined && lock ? { trail, lock } : undefined;
      return async () => await former?.lock.release();
    },
    async release() {
      await held?.lock.release();
      held = undefined;
    },
  };
}
