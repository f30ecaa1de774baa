import { access, constants, readFile } from 'node:fs/promises';
import path from 'node:path';
import { resolveFile } from '../../config/atomic-write.ts';
import { makeTreeFolder } from '../../config/folder.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/**
 * Prepares the place of a registry: it creates the folder of `file` if needed, and checks that files can be
 * created and replaced in it.
 * @throws BrokerError `invalid_config` with the reason and the remedy.
 */
export async function prepareFolder(file: string): Promise<void> {
  const dir = path.dirname(path.resolve(file));
  try {
    await makeTreeFolder(dir, 0o700);
  } catch (error) {
    throw unusable(dir, error);
  }
  const real = await resolveFile(file);
  try {
    await access(path.dirname(real), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(path.dirname(real), error);
  }
  if (await isMountPoint(real)) {
    throw new BrokerError(
      'invalid_config',
      `${real} is a mounted file, which cannot be replaced safely: mount its folder ${path.dirname(real)} instead (the journal and the certificate are kept there too)`,
    );
  }
}

function unusable(dir: string, error: unknown): BrokerError {
  const elsewhere = 'or name a file in another folder with --config (or BPBROKER_HOME)';
  const reason = reasonOf(error, {
    EACCES: `have its owner or mode changed, ${elsewhere}`,
    EROFS: `mount it writable, ${elsewhere}`,
  });
  return new BrokerError(
    'invalid_config',
    `Cannot keep the configuration, its journal and certificate in the folder ${dir}: ${reason}`,
    { cause: error },
  );
}

/** Whether the file itself is a mount point, as containers make single files. Only Linux says so. */
async function isMountPoint(file: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  let table: string;
  try {
    table = await readFile('/proc/self/mountinfo', 'utf8');
  } catch (error) {
    // Without /proc, the first rewrite fails and says so.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  return table.split('\n').some((line) => mountPointOf(line) === file);
}

/** The fifth field (proc_pid_mountinfo(5)), in which spaces and some other characters are octal. */
function mountPointOf(line: string): string | undefined {
  return line.split(' ')[4]?.replaceAll(/(?:\\[0-7]{3})+/g, (codes) =>
    Buffer.from(
      codes
        .split('\\')
        .slice(1)
        .map((code) => parseInt(code, 8)),
    ).toString('utf8'),
  );
}
