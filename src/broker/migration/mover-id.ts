import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { ifPresent, replaceFile } from '../../config/atomic-write.ts';
import { BrokerError } from '../../protocol/errors.ts';

/** Identifies a migration of this machine until it is done. */
export interface MoverId {
  readonly id: string;
  /** Writes it to the disk, beside the file, before etcd learns of it. */
  keep(): Promise<void>;
  /** Removes it once the migration is done: a copy of this folder must not continue it. */
  remove(): Promise<void>;
}

/**
 * The id of a migration of `file`: that of an interrupted earlier run, or a new one. Host name and path do not
 * identify a machine, because machines of one image share both.
 * @throws BrokerError `invalid_config` for a file without an id.
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
