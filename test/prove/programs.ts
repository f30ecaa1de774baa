import path from 'node:path';
import { findHostNode } from '../../build/test/node20.ts';
import { root, tool } from '../../build/root.ts';

export interface Program {
  readonly name: string;
  readonly command: readonly string[];
}

const built = path.join(root, 'dist', 'npm', 'cli', 'bpbroker.js');
const source = path.join(root, 'src', 'cli', 'bpbroker.ts');

/** The programs as users run them; `npm run prove` and the tests build them before. */
export const executable: Program = { name: 'executable', command: [path.join(root, 'dist', 'bpbroker')] };
export const node24: Program = { name: 'node24', command: [tool('node'), built] };

/** Every way to run the broker that this machine has. */
export function everyProgram(): Program[] {
  const host = findHostNode();
  const hostNode = host ? [{ name: `node ${host.version}`, command: [host.file, built] }] : [];
  return [
    executable,
    node24,
    ...hostNode,
    { name: 'bun', command: [tool('bun'), source] },
    { name: 'deno', command: [tool('deno'), 'run', '-A', '--no-lock', source] },
  ];
}
