import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { capture } from '../process.ts';
import { root, tool } from '../root.ts';
import { commonInputs, listFiles, unlessFresh } from '../stamp.ts';

/** The Node of this machine, as opposed to the dev dependency. */
export interface HostNode {
  readonly file: string;
  /** Such as `20.20.2`. */
  readonly version: string;
}

/** The Node that runs npm, or the first one on the PATH outside `node_modules`. */
export function findHostNode(env: NodeJS.ProcessEnv = process.env): HostNode | undefined {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const onPath = (env['PATH'] ?? '').split(path.delimiter).map((dir) => path.join(dir, name));
  const file = [env['npm_node_execpath'], ...onPath].find(
    (candidate) => candidate && existsSync(candidate) && !isDependency(candidate),
  );
  if (!file) return undefined;
  const version = execFileSync(file, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim();
  return { file, version };
}

function isDependency(file: string): boolean {
  return [file, realpathSync(file)].some((name) => name.split(path.sep).includes('node_modules'));
}

const out = path.join(root, 'dist', 'node20');

/** Emits sources and tests as JavaScript to `dist/node20`, for a Node that does not strip types. */
async function emit(): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  await capture([process.execPath, tool('tsc'), '-p', 'build/tsconfig.node20.json'], { cwd: root });
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  const manifest = { version, type: 'module', imports: { '#runtime': './src/runtime/node.js' } };
  writeFileSync(path.join(out, 'package.json'), JSON.stringify(manifest));
  for (const file of listFiles(path.join(root, 'test')).filter((name) => !name.endsWith('.ts'))) {
    const copy = path.join(out, path.relative(root, file));
    mkdirSync(path.dirname(copy), { recursive: true });
    copyFileSync(file, copy);
  }
}

/** Emits unless it is up to date. Returns whether it did. */
export function ensureNode20(): Promise<boolean> {
  const inputs = [...commonInputs, 'build', 'test'];
  return unlessFresh('node20', { inputs, outputs: ['dist/node20/package.json'] }, emit);
}

/** The emitted copy of a source file, both relative to the project. */
export function emittedFile(file: string): string {
  return path.posix.join('dist/node20', file.replace(/\.ts$/, '.js'));
}
