import path from 'node:path';
import { root, tool } from '../../build/root.ts';

export interface Program {
  readonly name: 'executable' | 'node24';
  readonly command: readonly string[];
}

/** The programs as users run them; `npm run prove` and the tests build them before. */
export const executable: Program = { name: 'executable', command: [path.join(root, 'dist', 'bpbroker')] };
export const node24: Program = {
  name: 'node24',
  command: [tool('node'), path.join(root, 'dist', 'npm', 'cli', 'bpbroker.js')],
};
