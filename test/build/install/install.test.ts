import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { buildRelease } from '../../../build/release.ts';
import { projectVersion, root } from '../../../build/root.ts';
import { archiveName, targets } from '../../../build/release/targets.ts';
import { serveFiles } from '../../support/network/file-server.ts';
import { startBroker } from '../../support/programs/programs.ts';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import {
  everything,
  host,
  hosts,
  install,
  isRoot,
  pathOf,
  programsForInstalls,
  script,
  shells,
  served,
  tools,
} from './install-support.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking(...programsForInstalls, 'wget');

const version = projectVersion();
const target = host.name;

describe('install.sh', { skip }, () => {
  let release = '';
  let url = '';

  before(async () => {
    release = path.join(tempDir(), 'release');
    await buildRelease({ out: release, source: { commit: 'c0ffee', time: 1_700_000_000 }, targets: hosts });
    url = await serveFiles(release);
  });

  for (const [name, shell] of Object.entries(shells)) {
    it(`installs both programs from a release, and again over them, under ${name}`, async () => {
      const dir = path.join(tempDir(), 'bin dir');
      for (let i = 0; i < 2; i++) {
        const { code, stdout, stderr } = await install(['--url', url, '--dir', dir], { shell });
        assert.equal(code, 0, stderr);
        assert.equal(
          stdout,
          `Installed bpbroker and bpclient ${version} (commit c0ffee, bun ${bunVersion()}, ${target}) in ${dir}\n` +
            `Add ${dir} to your PATH to run them by name.\n`,
        );
        assert.deepEqual(readdirSync(dir).toSorted(), ['bpbroker', 'bpclient']);
      }
      const [one, other] = ['bpbroker', 'bpclient'].map((program) => statSync(path.join(dir, program)));
      assert.equal(one?.ino, other?.ino, 'one file with two names');
      for (const program of ['bpbroker', 'bpclient'])
        assert.match(
          (await run([path.join(dir, program), '--version'])).stdout,
          new RegExp(`^${program} \\d`),
        );
    });

    it(`installs bpclient alone, over what was there, and leaves a bpbroker as it is, under ${name}`, async () => {
      const dir = path.join(tempDir(), 'bin');
      mkdirSync(dir);
      for (const program of ['bpbroker', 'bpclient']) writeFileSync(path.join(dir, program), 'former');
      const { code, stdout, stderr } = await install(['--client', '--url', url, '--dir', dir], { shell });
      assert.equal(code, 0, stderr);
      assert.equal(
        stdout,
        `Installed bpclient ${version} (commit c0ffee, bun ${bunVersion()}, ${target}) in ${dir}\n` +
          `Add ${dir} to your PATH to run it by name.\n`,
      );
      assert.deepEqual(readdirSync(dir).toSorted(), ['bpbroker', 'bpclient']);
      assert.equal(readFileSync(path.join(dir, 'bpbroker'), 'utf8'), 'former');
      const { stdout: said } = await run([path.join(dir, 'bpclient'), '--version']);
      assert.match(said, /^bpclient \d/);
    });
  }

  it('installs a file that Linux maps in as large pieces as one that was written at once', async () => {
    const dir = path.join(tempDir(), 'bin');
    assert.equal((await install(['--url', url, '--dir', dir])).code, 0);
    const installed = path.join(dir, 'bpbroker');
    const copy = path.join(dir, 'copy');
    writeFileSync(copy, readFileSync(installed), { mode: 0o755 });
    const [own, best] = [await hugeKilobytes(installed), await hugeKilobytes(copy)];
    // Where the kernel or the file system has no such pieces, both are 0.
    assert.ok(own >= best / 2, `${own} kB in huge pages; of a file written at once ${best} kB`);
  });

  it('takes the archive of the client for --client or its variable, and for nothing else', async () => {
    const brokerOnly = await served({ only: 'bpbroker' });
    const clientOnly = await served({ only: 'bpclient' });
    const dir = path.join(tempDir(), 'bin');
    const none = new RegExp(`has no build for ${target}\n$`);
    assert.match((await install(['--url', brokerOnly, '--dir', dir, '--client'])).stderr, none);
    assert.match((await install(['--url', clientOnly, '--dir', dir])).stderr, none);
    const env = { BPBROKER_INSTALL_CLIENT: '1' };
    assert.equal((await install(['--url', clientOnly, '--dir', dir], { env })).code, 0);
    assert.deepEqual(readdirSync(dir), ['bpclient']);
  });

  it('refuses an archive that is not the one of SHA256SUMS, and installs nothing', async () => {
    const tampered = tempDir();
    for (const name of readdirSync(release))
      copyFileSync(path.join(release, name), path.join(tampered, name));
    const archive = path.join(tampered, archiveName('bpbroker', host, version));
    const bytes = readFileSync(archive);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(archive, bytes);
    const dir = path.join(tempDir(), 'bin');
    const { code, stdout, stderr } = await install(['--url', await serveFiles(tampered), '--dir', dir]);
    assert.deepEqual([code, stdout, existsSync(dir)], [1, '', false]);
    assert.match(
      stderr,
      /the checksum of bpbroker-.*\.tar\.gz is [0-9a-f]{64} and not [0-9a-f]{64} as in SHA256SUMS: nothing was installed/,
    );
  });

  it(
    'goes to ~/.local/bin without root',
    { skip: isRoot ? false : 'needs root, to be someone else' },
    async () => {
      const home = tempDir();
      chmodSync(home, 0o777);
      const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '/bin/sh'];
      const bin = path.join(home, '.local', 'bin');
      const env = { HOME: home, TMPDIR: home, PATH: `${bin}:${process.env['PATH']}` };
      const { code, stdout, stderr } = await install(['--url', url], { shell: nobody, env });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Installed .*\/\.local\/bin\n$/);
      assert.deepEqual(readdirSync(bin).toSorted(), ['bpbroker', 'bpclient']);
      assert.deepEqual(readdirSync(home), ['.local']);
    },
  );

  it('takes a version, with its v or without, and says which one is not there', async () => {
    const small = await served();
    const env = { BPBROKER_INSTALL_URL: small, BPBROKER_INSTALL_DIR: path.join(tempDir(), 'bin') };
    for (const given of ['9.9.9', 'v9.9.9'])
      assert.equal((await install(['--version', given], { env })).code, 0);
    const { code, stderr } = await install([], { env: { ...env, BPBROKER_VERSION: '9.9.8' } });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`has no build of version 9\\.9\\.8 for ${target}`));
  });

  it('replaces nothing when the new programs do not run', async () => {
    const dir = path.join(tempDir(), 'bin');
    mkdirSync(dir);
    writeFileSync(path.join(dir, 'bpbroker'), 'former');
    const broken: [string, RegExp][] = [
      [
        'echo "Error loading shared library libstdc++.so.6: No such file"; exit 127',
        /needs the C\+\+ library of this system: apk add libstdc\+\+/,
      ],
      ['echo "Illegal instruction" >&2; exit 132', /bpbroker does not run here: Illegal instruction/],
    ];
    for (const [program, message] of broken) {
      const { code, stderr } = await install(['--url', await served({ program }), '--dir', dir]);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(readFileSync(path.join(dir, 'bpbroker'), 'utf8'), 'former');
      assert.deepEqual(readdirSync(dir), ['bpbroker']);
    }
  });

  it('works with wget alone, and says which tools it misses', async () => {
    const small = await served();
    const args = ['--url', small, '--dir', path.join(tempDir(), 'bin')];
    const having = (...names: string[]): Promise<RunResult> =>
      install(args, { env: { PATH: pathOf(names) } });
    const wget = await having(...tools, 'sha256sum', 'wget');
    assert.equal(wget.code, 0, wget.stderr);
    assert.match(
      (await having(...tools, 'sha256sum')).stderr,
      /^install\.sh: curl or wget is needed to download/,
    );
    assert.match((await having(...tools, 'curl')).stderr, /sha256sum or shasum is needed/);
    const [, ...others] = tools;
    assert.match((await having(...others, 'curl', 'sha256sum')).stderr, /tar is needed/);
  });

  it(
    'knows the machine: system, processor, C library, AVX2',
    { skip: isRoot ? false : 'needs root' },
    async () => {
      const nowhere = await served({ target: { ...host, name: 'none' } });
      const uname = (system: string, processor: string): Record<string, string> => ({
        uname: `if [ "$1" = -s ]; then echo ${system}; else echo ${processor}; fi`,
        ldd: 'echo "ldd (GNU libc) 2.36"',
      });
      const musl = { ldd: 'echo "musl libc (x86_64)" >&2; exit 1' };
      const rosetta = { sysctl: 'echo 1' };
      const cases: [Record<string, string>, string, string][] = [
        [uname('Linux', 'x86_64'), 'flags: fpu avx avx2', 'linux-x64'],
        [uname('Linux', 'x86_64'), 'flags: fpu avx avx2x', 'linux-x64-baseline'],
        [{ ...uname('Linux', 'x86_64'), ...musl }, 'flags: fpu avx2', 'linux-x64-musl'],
        [{ ...uname('Linux', 'amd64'), ...musl }, 'flags: fpu', 'linux-x64-musl-baseline'],
        [uname('Linux', 'aarch64'), 'Features: fp asimd', 'linux-arm64'],
        [{ ...uname('Linux', 'aarch64'), ...musl }, '', 'linux-arm64-musl'],
        [uname('Darwin', 'arm64'), '', 'darwin-arm64'],
        [uname('Darwin', 'x86_64'), '', 'darwin-x64'],
        [{ ...uname('Darwin', 'x86_64'), ...rosetta }, '', 'darwin-arm64'],
      ];
      for (const [standIns, cpuinfo, expected] of cases) {
        const file = path.join(tempDir(), 'cpuinfo');
        writeFileSync(file, `${cpuinfo}\n`);
        const mount = `mount --bind ${file} /proc/cpuinfo && PATH=${pathOf(everything, standIns)} && exec /bin/sh "$@"`;
        const { stderr } = await install(['--url', nowhere], {
          shell: ['/usr/bin/unshare', '--mount', 'sh', '-c', mount, 'sh'],
        });
        assert.equal(stderr, `install.sh: ${nowhere} has no build for ${expected}\n`);
        assert.ok(
          targets.some(({ name }) => name === expected),
          expected,
        );
      }
      const others = await install([], { env: { PATH: pathOf(everything, uname('SunOS', 'x86_64')) } });
      assert.match(
        others.stderr,
        /no build for the system 'SunOS'; there are builds for Linux, macOS and Windows/,
      );
      const old = await install([], { env: { PATH: pathOf(everything, uname('Linux', 'i686')) } });
      assert.match(old.stderr, /no build for the processor 'i686'/);
    },
  );

  it('refuses options that it does not know, values that are missing and versions that are none', async () => {
    const wrong: [string[], RegExp][] = [
      [['--prefix', 'x'], /unknown option '--prefix'; see --help/],
      [['--dir'], /option --dir needs a value/],
      [['--version', '1 .*'], /'1 \.\*' is not a version or target/],
    ];
    for (const [args, message] of wrong) assert.match((await install(args)).stderr, message);
    assert.match((await install(['--help'])).stdout, /--url URL .*\n.*\[BPBROKER_INSTALL_URL\]/);
  });

  it('uses plain HTTP only when an option allows it', async () => {
    const dir = path.join(tempDir(), 'bin');
    const plain = await served();
    const env = { BPBROKER_INSTALL_PLAIN_HTTP: '' };
    for (const one of [
      plain,
      plain.replace('http', 'HTTP'),
      plain.replace('http://', ''),
      plain.replace('http', 'ftp'),
    ]) {
      const { code, stdout, stderr } = await install(['--url', one, '--dir', dir], { env });
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /^install\.sh: \S+ is not https:\/\/: .* add --plain-http\n$/);
      assert.ok(!existsSync(dir));
    }
    const { code, stderr } = await install(['--plain-http', '--url', plain, '--dir', dir], { env });
    assert.equal(code, 0, stderr);
  });

  it('does nothing when its download broke off', async () => {
    const text = readFileSync(script, 'utf8');
    const cut = text.slice(0, text.lastIndexOf('main "$@"'));
    const { code, stdout, stderr } = await run(['sh'], { input: cut });
    assert.deepEqual([code, stdout, stderr], [0, '', '']);
  });

  it('has nothing that shellcheck warns of', async () => {
    const { stdout } = await run(['shellcheck', '--shell=sh', script]);
    assert.equal(stdout, '');
  });
});

function bunVersion(): string {
  const manifest = readFileSync(path.join(root, 'node_modules', 'bun', 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** How much of a program's file a broker has mapped in huge pages. */
async function hugeKilobytes(file: string): Promise<number> {
  const broker = await startBroker({ bpbroker: [file], bpclient: [file] });
  const smaps = readFileSync(`/proc/${broker.pid}/smaps`, 'utf8');
  await broker.stop();
  const mappings = smaps
    .split(/^(?=[0-9a-f]+-)/m)
    .filter((text) => text.split('\n')[0]?.endsWith(` ${file}`));
  assert.ok(mappings.length > 0);
  return mappings.reduce((sum, text) => sum + Number(/^FilePmdMapped: +(\d+) kB$/m.exec(text)?.[1]), 0);
}
