import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { findHostNode } from '../../../build/test/node20.ts';
import { root, tool } from '../../../build/root.ts';
import { executableName } from '../../../build/release/targets.ts';

export { cleanEnv } from './clean-env.ts';
export { run, type RunOptions, type RunResult } from './run.ts';
export {
  type ClientOptions,
  parseReady,
  type RunningBroker,
  startBroker,
  type StartOptions,
} from './start-broker.ts';

/** One way to run the programs. */
export interface Launcher {
  readonly name: 'node20' | 'node24' | 'bun' | 'deno' | 'executable';
  /** The commands to put arguments after. */
  readonly bpbroker: readonly string[];
  readonly bpclient: readonly string[];
  /** Of the runtime, where it is one. */
  readonly version: string;
  /** A text is the reason why it cannot be used here, for a test's `skip`. */
  readonly available: true | string;
}

/** Every way users run the programs. `node20` is whatever Node this machine brings: see its `version`. */
export const launchers: readonly Launcher[] = [
  hostNode(),
  launcher('node24', [tool('node')], 'dist/npm/cli/NAME.js'),
  launcher('bun', [tool('bun')], 'src/cli/NAME.ts'),
  launcher('deno', [tool('deno'), 'run', '-A', '--no-lock'], 'src/cli/NAME.ts'),
  launcher('executable', [], `dist/${executableName('NAME')}`),
];

function hostNode(): Launcher {
  const host = findHostNode();
  const built = launcher('node20', [host?.file ?? 'node'], 'dist/npm/cli/NAME.js');
  if (!host) return { ...built, version: '', available: 'no Node on the PATH outside node_modules' };
  return { ...built, version: host.version };
}

function launcher(name: Launcher['name'], runtime: readonly string[], entry: string): Launcher {
  const command = (program: string): string[] => [
    ...runtime,
    path.join(root, entry.replace('NAME', program)),
  ];
  const bpbroker = command('bpbroker');
  const bpclient = command('bpclient');
  const missing = [bpbroker, bpclient]
    .flatMap((words) => [words[0], words.at(-1)])
    .find((file) => file && path.isAbsolute(file) && !existsSync(file));
  const available = missing ? `${path.relative(root, missing)} is missing: npm run build` : true;
  return { name, bpbroker, bpclient, version: versionOf(name), available };
}

function versionOf(name: string): string {
  const dependency = { node24: 'node', bun: 'bun', deno: 'deno' }[name];
  const manifest = path.join(root, 'node_modules', dependency ?? '', 'package.json');
  if (!dependency || !existsSync(manifest)) return '';
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
