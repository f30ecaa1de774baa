import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { capture } from './process.ts';
import { assets, projectVersion, root, tool } from './root.ts';
import { commonInputs, unlessFresh } from './stamp.ts';
import { executableName, type Target } from './targets.ts';

export const programs = ['bpbroker', 'bpclient'] as const;

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
  const { entry, outfile, target, bytecode = true, version, commit } = options;
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
    await capture([tool('bun'), 'build', ...flags, `--outfile=${staged}`, entry, ...embedded], { cwd: root });
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

/** The source file that a program starts with. */
export function entryOf(program: string): string {
  return path.join(root, 'src', 'cli', `${program}.ts`);
}

function output(program: string): string {
  return path.join('dist', executableName(program));
}

/** Builds `dist/bpbroker` and `dist/bpclient` for this host. */
export async function buildExecutables(): Promise<void> {
  for (const program of programs) {
    await buildExecutable({
      entry: entryOf(program),
      outfile: path.join(root, output(program)),
      version: projectVersion(),
    });
  }
}

/** The programs of a target, built for tests unless they are up to date; gives their folder. */
export async function ensureTarget(target: Target): Promise<string> {
  const dir = path.join('dist', 'targets', target.name);
  const files = programs.map((program) => path.join(dir, executableName(program, target.platform)));
  await unlessFresh(
    `target-${target.name}`,
    { inputs: [...commonInputs, 'build/executable.ts', 'build/targets.ts'], outputs: files },
    async () => {
      for (const [i, program] of programs.entries()) {
        const outfile = path.join(root, files[i] ?? '');
        await buildExecutable({ entry: entryOf(program), outfile, target });
      }
    },
  );
  return path.join(root, dir);
}

/** Builds the host's executables unless they are up to date; gives whether it did. */
export function ensureExecutables(): Promise<boolean> {
  return unlessFresh(
    'executables',
    { inputs: [...commonInputs, 'build/executable.ts'], outputs: programs.map(output) },
    buildExecutables,
  );
}

if (import.meta.main) {
  await buildExecutables();
  for (const file of programs.map(output)) {
    const megabytes = (statSync(path.join(root, file)).size / 1e6).toFixed(1);
    process.stdout.write(`${file} is built (${megabytes} MB) and runs.\n`);
  }
}
