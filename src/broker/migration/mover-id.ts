import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { ifPresent, replaceFile } from '../../config/atomic-write.ts';
import { BrokerError } from '../../protocol/errors.ts';

/** What tells a migration of this machine from that of another one, for as long as it is not done. */
export interface MoverId {
  readonly id: string;
  /** Keeps it beside the file, on the disk: before etcd hears of it. */
  keep(): Promise<void>;
  /** Removes it: the migration is done, and a copy of this folder must not pass for it. */
  remove(): Promise<void>;
}

/**
 * The id of a migration of `file`: that of an earlier run that was interrupted, or a new one. Host name and path do not tell
 * machines apart, since those that were made from one image have both in common.
 * @throws BrokerError `invalid_config` for a file that holds no id.
 */
export async function readMoverId(file: string): Promise<MoverId> {
  const at = `${file}.migration`;
  const kept = (await ifPresent(readFile(at, 'utf8')))?.trim();
  if (kept !== undefined && !/^[0-9a-f]{32}$/.test(kept))
    throw new BrokerError(
      'invalid_config',
      `${at} holds no id of a migration (32 hex digits): write back what it was, or remove it where no migration was interrupted`,
    );
  const id = kept ?? randomBytes(16).toString('hex');
  return {
    id,
    async keep() {
      if (kept === undefined) await replaceFile(at, [`${id}\n`], { mode: 0o600 });
    },
    remove: () => rm(at, { force: true }),
  };
}
