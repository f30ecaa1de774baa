import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { chunksOfOthers, dropBytecode, type Metafile } from './executable/bytecode.ts';
import { capture } from './process.ts';
import { assets, projectVersion, root, tool } from './root.ts';
import { alignFile } from './executable/elf-segments.ts';
import { buildAndStamp, commonInputs, unlessFresh } from './stamp.ts';
import { executableName, type Target } from './release/targets.ts';

export type Program = 'bpbroker' | 'bpclient';

/** What is built and packed on its own, with its programs; the first one names it. */
export const products: Readonly<Record<Program, readonly Program[]>> = {
  /** One file, which is either program by the name that it is called with. */
  bpbroker: ['bpbroker', 'bpclient'],
  /** For hosts that need only the client. */
  bpclient: ['bpclient'],
};

export interface ExecutableOptions {
  /** The entry point's source file. */
  readonly entry: string;
  /** The path of the executable. */
  readonly outfile: string;
  /** Absent: this host. Then the running Bun itself is embedded, and nothing is downloaded. */
  readonly target?: Target;
  /** Compiles to bytecode ahead of time: 2 MB more, half the start-up time. Default true. */
  readonly bytecode?: boolean;
  /**
   * The version that `--version` must print. Absent: it is not run, as for a target that this host cannot
   * run.
   */
  readonly version?: string;
  /**
   * The source file whose `import()`s lead to code without bytecode. Code that is reached only through them
   * starts more slowly, and the executable packs smaller. Default: all code is compiled.
   */
  readonly withoutBytecode?: string;
  /** The commit that `--version` names; absent: none. */
  readonly commit?: string | undefined;
}

/**
 * By default, Bun and its executables read `.env` and `bunfig.toml` of the CURRENT directory, and run a
 * `preload` named there. The owner of the directory could run code that way. The last two options are off by
 * default; they are listed so that they stay off.
 */
const isolation = ['dotenv', 'bunfig', 'tsconfig', 'package-json'].map(
  (file) => `--no-compile-autoload-${file}`,
);

/**
 * Compiles one program into one file.
 * @throws Error when it does not compile, or does not print its version: some bundles build but do not start.
 */
export async function buildExecutable(options: ExecutableOptions): Promise<void> {
  const { entry, outfile, target, bytecode = true, withoutBytecode, version, commit } = options;
  // The file's name becomes part of the executable. So it is the same each time, and only the folder differs.
  const staging = path.join(path.dirname(outfile), `.${process.pid}-${path.basename(outfile)}`);
  const staged = path.join(staging, path.basename(outfile));
  mkdirSync(staging, { recursive: true });
  const flags = ['--compile', '--minify', '--format=esm', '--sourcemap=none', ...isolation];
  // Code that only import() reaches is a chunk of its own, and is not parsed before: half the start of a
  // client command.
  flags.push('--splitting');
  if (target) flags.push(`--target=${target.bun}`);
  const known = { BPBROKER_COMMIT: commit, BPBROKER_TARGET: target?.name };
  for (const [name, value] of Object.entries(known))
    if (value !== undefined) flags.push('--define', `${name}=${JSON.stringify(value)}`);
  // Without the ESM format, some libraries with bytecode fail at the start, although the build succeeds.
  if (bytecode) flags.push('--bytecode');
  try {
    // The names stay as they are, so that the code finds the files beside itself.
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
    // Other systems map files in other ways, and sign their contents.
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

/** The source file that loads the code of the broker's commands. */
const brokerCommands = path.join(root, 'src', 'cli', 'programs', 'broker-commands.ts');

/** The source file that a product starts with. */
function entryOf(product: Program): string {
  return path.join(root, 'src', 'cli', product === 'bpbroker' ? 'executable.ts' : 'bpclient.ts');
}

/** Builds a product into the folder `dir`: one file, with the name of each of its programs. */
export async function buildProduct(
  product: Program,
  dir: string,
  options: Omit<ExecutableOptions, 'entry' | 'outfile'> = {},
): Promise<void> {
  const { platform } = options.target ?? process;
  const outfile = path.join(dir, executableName(product, platform));
  // The runtime is nearly all of the largest archive, for Windows on x64. The broker's own bytecode would
  // bring it over 55 MB.
  const lean = product === 'bpbroker' && platform === 'win32' && { withoutBytecode: brokerCommands };
  await buildExecutable({ ...options, ...lean, entry: entryOf(product), outfile });
  for (const other of products[product].filter((program) => program !== product))
    linkOver(outfile, path.join(dir, executableName(other, platform)));
}

/** A second name for a file; replaces any file of that name. */
function linkOver(file: string, name: string): void {
  const staged = `${name}.${process.pid}`;
  linkSync(file, staged);
  renameSync(staged, name);
}

/** Builds `dist/bpbroker` and `dist/bpclient` for this host. */
async function buildExecutables(): Promise<void> {
  await buildProduct('bpbroker', path.join(root, 'dist'), { version: projectVersion() });
}

/** The inputs of every executable. */
const layout: readonly string[] = [
  ...commonInputs,
  'build/executable.ts',
  'build/executable/elf-segments.ts',
];

/** The programs of a target, built for tests unless they are up to date. Returns their folder. */
export async function ensureTarget(target: Target): Promise<string> {
  const dir = path.join('dist', 'targets', target.name);
  const files = products.bpbroker.map((program) => path.join(dir, executableName(program, target.platform)));
  await unlessFresh(
    `target-${target.name}`,
    {
      inputs: [...layout, 'build/executable/bytecode.ts', 'build/release/targets.ts'],
      outputs: files,
    },
    () => buildProduct('bpbroker', path.join(root, dir), { target }),
  );
  return path.join(root, dir);
}

const outputs = products.bpbroker.map((program) => path.join('dist', executableName(program)));

/** Builds the host's executables unless they are up to date. Returns whether it did. */
export function ensureExecutables(): Promise<boolean> {
  return unlessFresh('executables', { inputs: layout, outputs }, buildExecutables);
}

if (import.meta.main) {
  await buildAndStamp('executables', layout, buildExecutables);
  const [file = ''] = outputs;
  const megabytes = (statSync(path.join(root, file)).size / 1e6).toFixed(1);
  process.stdout.write(`${outputs.join(' and ')} are built, one file (${megabytes} MB), and run.\n`);
}
