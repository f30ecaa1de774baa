import { randomBytes } from 'node:crypto';
import type { Run } from '../command.ts';
import { writeOut } from '../terminal.ts';

/** 256 bits, in hex: it needs no quoting in a shell, in JSON or in a URL. */
export const run: Run = async () => {
  writeOut(`${randomBytes(32).toString('hex')}\n`);
};
