import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { chunksOfOthers, dropBytecode, type Metafile } from './bytecode.ts';
import { capture } from './process.ts';
import { assets, projectVersion, root, tool } from './root.ts';
import { alignFile } from './segments.ts';
import { buildAndStamp, commonInputs, unlessFresh } from './stamp.ts';
import { executableName, type Target } from './targets.ts';

export type Program = 'bpbroker' | 'bpclient';

/** What is built and packed by itself, with the programs that it is; the first one is its own name. */
export const products: Readonly<Record<Program, readonly Program[]>> = {
  /** One file, which is either program by the name it is called with. */
  bpbroker: ['bpbroker', 'bpclient'],
  /** For hosts that need the client alone. */
  bpclient: ['bpclient'],
};

export interface ExecutableOptions {
  /** The entry point's source file. */
  readonly entry: string;
  /** Where the executable goes. */
  readonly outfile: string;
  /** Absent: the host, for which the running Bun itself is embedded and nothing is downloaded. */
  readonly target?: Target;
  /** Compiles to bytecode ahead of time: 2 MB more, half the start-up. Default true. */
  readonly bytecode?: boolean;
  /** What `--version` must print. Absent: not run, as for a target that this host cannot run. */
  readonly version?: string;
  /**
   * The source file whose `import()`s lead to code that is compiled to no bytecode: what is reached in no other way starts
   * more slowly, and the executable packs smaller. Default: all is compiled.
   */
  readonly withoutBytecode?: string;
  /** The commit that `--version` names; absent: none. */
  readonly commit?: string | undefined;
}

/**
 * Bun reads `.env` and `bunfig.toml` of the CURRENT directory by default and runs a `preload` named there, for an
 * executable too: whoever owns the directory would run code. The last two are off by default; said here to stay off.
 */
const isolation = ['dotenv', 'bunfig', 'tsconfig', 'package-json'].map(
  (file) => `--no-compile-autoload-${file}`,
);

/**
 * Compiles one program into one file.
 * @throws Error when it does not compile, or does not print its version: a bundle may build and yet not start.
 */
export async function buildExecutable(options: ExecutableOptions): Promise<void> {
  const { entry, outfile, target, bytecode = true, withoutBytecode, version, commit } = options;
  // The file's name becomes part of the executable, so it is the same each time, and only the folder is not.
  const staging = path.join(path.dirname(outfile), `.${process.pid}-${path.basename(outfile)}`);
  const staged = path.join(staging, path.basename(outfile));
  mkdirSync(staging, { recursive: true });
  const flags = ['--compile', '--minify', '--format=esm', '--sourcemap=none', ...isolation];
  // What only import() reaches is a chunk of its own, not even parsed until then: half the start of a client command.
  flags.push('--splitting');
  if (target) flags.push(`--target=${target.bun}`);
  const known = { BPBROKER_COMMIT: commit, BPBROKER_TARGET: target?.name };
  for (const [name, value] of Object.entries(known))
    if (value !== undefined) flags.push('--define', `${name}=${JSON.stringify(value)}`);
  // Without the ESM format, bytecode breaks some libraries at start although the build succeeds.
  if (bytecode) flags.push('--bytecode');
  try {
    // Named as they are, so that the code finds them beside itself.
    flags.push('--asset-naming=[name].[ext]');
    const embedded = assets.map((asset) => path.join(root, 'src', asset));
    const metafile = path.join(staging, 'metafile.json');
    flags.push(`--metafile=${metafile}`, `--outfile=${staged}`);
    await capture([tool('bun'), 'build', ...flags, entry, ...embedded], { cwd: root });
    if (withoutBytecode !== undefined) {
      const metadata = JSON.parse(readFileSync(metafile, 'utf8')) as Metafile;
      const [start = '', lazy = ''] = [entry, withoutBytecode].map((file) => path.relative(root, file));
      dropBytecode(staged, chunksOfOthers(metadata, start, lazy));
    }
    // Other systems map files in ways of their own, and sign what they hold.
    if ((target?.platform ?? process.platform) === 'linux') alignFile(staged);
    if (version !== undefined) await smokeRun(staged, version);
    // A rename, because a running executable cannot be written to.
    renameSync(staged, outfile);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function smokeRun(file: string, version: string): Promise<void> {
  const printed = await capture([file, '--version']);
  if (!printed.includes(version)) {
    throw new Error(`${file} --version printed ${JSON.stringify(printed)}; expected it to name ${version}`);
  }
}

/** What loads the code of the broker's commands. */
const brokerCommands = path.join(root, 'src', 'cli', 'programs', 'broker-commands.ts');

/** The source file that a product starts with. */
function entryOf(product: Program): string {
  return path.join(root, 'src', 'cli', product === 'bpbroker' ? 'executable.ts' : 'bpclient.ts');
}

/** Builds a product into the folder `dir`: one file, under the name of each program that it is. */
export async function buildProduct(
  product: Program,
  dir: string,
  options: Omit<ExecutableOptions, 'entry' | 'outfile'> = {},
): Promise<void> {
  const { platform } = options.target ?? process;
  const outfile = path.join(dir, executableName(product, platform));
  // Nearly all of the largest archive, for Windows on x64, is the runtime: the broker's own bytecode would take it over 55 MB.
  const lean = product === 'bpbroker' && platform === 'win32' && { withoutBytecode: brokerCommands };
  await buildExecutable({ ...options, ...lean, entry: entryOf(product), outfile });
  for (const other of products[product].filter((program) => program !== product))
    linkOver(outfile, path.join(dir, executableName(other, platform)));
}

/** A second name for a file, in place of whatever stands there. */
function linkOver(file: string, name: string): void {
  const staged = `${name}.${process.pid}`;
  linkSync(file, staged);
  renameSync(staged, name);
}

/** Builds `dist/bpbroker` and `dist/bpclient` for this host. */
async function buildExecutables(): Promise<void> {
  await buildProduct('bpbroker', path.join(root, 'dist'), { version: projectVersion() });
}

/** What every executable is made from. */
const layout: readonly string[] = [...commonInputs, 'build/executable.ts', 'build/segments.ts'];

/** The programs of a target, built for tests unless they are up to date; gives their folder. */
export async function ensureTarget(target: Target): Promise<string> {
  const dir = path.join('dist', 'targets', target.name);
  const files = products.bpbroker.map((program) => path.join(dir, executableName(program, target.platform)));
  await unlessFresh(
    `target-${target.name}`,
    {
      inputs: [...layout, 'build/bytecode.ts', 'build/targets.ts'],
      outputs: files,
    },
    () => buildProduct('bpbroker', path.join(root, dir), { target }),
  );
  return path.join(root, dir);
}

const outputs = products.bpbroker.map((program) => path.join('dist', executableName(program)));

/** Builds the host's executables unless they are up to date; gives whether it did. */
export function ensureExecutables(): Promise<boolean> {
  return unlessFresh('executables', { inputs: layout, outputs }, buildExecutables);
}

if (import.meta.main) {
  await buildAndStamp('executables', layout, buildExecutables);
  const [file = ''] = outputs;
  const megabytes = (statSync(path.join(root, file)).size / 1e6).toFixed(1);
  process.stdout.write(`${outputs.join(' and ')} are built, one file (${megabytes} MB), and run.\n`);
}
