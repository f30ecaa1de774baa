import { chmod, stat } from 'node:fs/promises';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/**
 * Closes a file to the other users of the host, since it holds access keys and entries that they guard. A
 * file made by hand, or by the original, is mostly readable by all. Its owner and group keep their
 * permissions.
 */
export async function closeToOthers(
  file: string,
  document: JsonObject | undefined,
  log: Logger,
): Promise<void> {
  if (process.platform === 'win32' || !document || !holdsKey(document)) return;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o007) === 0) return;
    await chmod(file, mode & 0o770);
    log.warn('other users of this host could read the configuration; they cannot any more', { file });
  } catch (error) {
    log.warn('other users of this host may read the configuration, which holds access keys', {
      file,
      error: reasonOf(error),
    });
  }
}

/**
 * Closes a private key to the other users of the host, or refuses it: a user who reads it can pretend to be
 * the broker.
 * @throws BrokerError `invalid_config` when others can read it and its mode cannot be changed.
 */
export async function closePrivateKey(file: string, log: Logger): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(file);
  if ((mode & 0o007) === 0) return;
  try {
    await chmod(file, mode & 0o770);
  } catch (error) {
    throw new BrokerError(
      'invalid_config',
      `Other users of this host can read the private key ${file}, and it cannot be closed to them: ${reasonOf(
        error,
        {
          EPERM: 'have its owner make it readable by its owner or group alone (chmod o-rwx)',
          EROFS: 'have it mounted with mode 0400 or 0440',
        },
      )}`,
      { cause: error },
    );
  }
  log.warn('other users of this host could read the private key; they cannot any more', { file });
}

function holdsKey(document: JsonObject): boolean {
  const { password } = (document['_store'] ?? {}) as JsonObject;
  if (typeof password === 'string' && password !== '') return true;
  return Object.values(document).some((section) => {
    const key = (section as JsonObject | null)?.['_access_key'];
    return Array.isArray(key) ? key.length > 0 : typeof key === 'string' && key !== '';
  });
}
