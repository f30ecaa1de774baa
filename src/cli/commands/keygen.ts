import { randomBytes } from 'node:crypto';
import { hashAccessKey } from '../../config/access-key.ts';
import { readSecret } from '../../protocol/formats/secret.ts';
import type { Run } from '../command.ts';
import { readStandardInput } from '../options/data.ts';
import { readKeyFile } from '../options/keys.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

/** A shorter key can be found by trying, from its hash. */
const LONG_ENOUGH = 22;

/** A key of 256 bits in hex. It needs no quoting in a shell, in JSON or in a URL. */
export const run: Run = async (args) => {
  const file = args.text('key-file');
  if (file !== undefined) {
    writeOut(`${hashAccessKey(readKey(file))}\n`);
    return;
  }
  const key = randomBytes(32).toString('hex');
  writeOut(args.flag('hash') ? `${key}\n${hashAccessKey(key)}\n` : `${key}\n`);
};

/** The key as `--access-key-file` reads it from the same file. */
function readKey(file: string): string {
  const key =
    file === '-' ? readSecret(readStandardInput(), 'Standard input') : readKeyFile(file, '--key-file');
  if (key.length < LONG_ENOUGH) {
    writeError('This key is short: a reader of its hash may find it by trying. keygen makes a long one\n');
  }
  return key;
}
