import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { ensureTarget } from '../../../build/executable.ts';
import { capture } from '../../../build/process.ts';
import { root } from '../../../build/root.ts';
import { targets } from '../../../build/release/targets.ts';
import { follow } from '../../programs/support.ts';
import { parseReady, run, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { spawn } from 'node:child_process';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';

/** A tree with the programs, the named libraries, and nothing else: no shell, no /etc, no /dev, no /tmp. */
function tree(programs: string, libraries: Readonly<Record<string, string>>): string {
  const dir = tempDir();
  mkdirSync(path.join(dir, 'proc'));
  for (const name of ['bpbroker', 'bpclient']) copy(path.join(programs, name), path.join(dir, name));
  for (const [at, from] of Object.entries(libraries)) copy(from, path.join(dir, at));
  return dir;
}

function copy(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/** The loader and the libraries that `ldd` names. */
async function glibcTree(): Promise<string> {
  const dist = path.join(root, 'dist');
  const listed = await capture(['ldd', path.join(dist, 'bpbroker')]);
  const files = listed.match(/\/\S+\.so\S*/g) ?? [];
  assert.deepEqual(
    files.map((file) => path.basename(file).replace(/\..*/, '')).toSorted(),
    ['ld-linux-x86-64', 'libc', 'libdl', 'libm', 'libpthread'],
    'libc alone',
  );
  return tree(dist, Object.fromEntries(files.map((file) => [file, file])));
}

const muslLoader = '/lib/ld-musl-x86_64.so.1';

/** musl, and the C++ library that the build for musl needs: that of this system, which `cxx-on-musl.c` lets run there. */
async function muslTree(): Promise<string> {
  const target = targets.find(({ name }) => name === 'linux-x64-musl');
  assert.ok(target);
  const shim = path.join(tempDir(), 'shim.so');
  const source = path.join(root, 'test', 'support', 'cxx-on-musl.c');
  await capture(['gcc', '-shared', '-nostdlib', '-fPIC', '-O2', '-o', shim, source]);
  const system = '/usr/lib/x86_64-linux-gnu';
  const gcc = [system, '/lib/x86_64-linux-gnu'].map((dir) => path.join(dir, 'libgcc_s.so.1'));
  const dir = tree(await ensureTarget(target), {
    [muslLoader]: muslLoader,
    '/lib/libstdc++.so.6': path.join(system, 'libstdc++.so.6'),
    '/lib/libgcc_s.so.1': gcc.find((file) => existsSync(file)) ?? '',
    '/lib/ld-linux-x86-64.so.2': shim,
  });
  symlinkSync(path.basename(muslLoader), path.join(dir, 'lib', 'libc.musl-x86_64.so.1'));
  return dir;
}

/** What only the kernel provides is mounted in a namespace of its own, which ends with the command. */
const enter = (dir: string): string[] => {
  const script = 'mount -t proc proc "$1/proc" && exec /usr/sbin/chroot "$@"';
  return ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script, 'sh', dir];
};

const env = { BPBROKER_HOME: '/data', HOME: '/home', BPBROKER_LISTEN_PORT: '0', BPBROKER_INTERFACES: 'lo' };

const roots: Readonly<Record<string, { make(): Promise<string>; skip: string | false }>> = {
  glibc: { make: glibcTree, skip: isRoot && process.arch === 'x64' ? false : 'needs root on Linux x64' },
  musl: {
    make: muslTree,
    skip:
      isRoot && existsSync(muslLoader) && existsSync('/usr/bin/gcc')
        ? false
        : "needs root on Linux x64, 'musl' and 'gcc'",
  },
};

for (const [libc, { make, skip }] of Object.entries(roots)) {
  describe(`the executables in a tree with ${libc} and nothing else`, { skip }, () => {
    let dir = '';
    before(async () => {
      dir = await make();
    });
    const bpclient = (...args: string[]): Promise<RunResult> =>
      run([...enter(dir), '/bpclient', ...args], { env });

    it('say their version', async () => {
      for (const program of ['bpbroker', 'bpclient']) {
        const { stdout, stderr } = await run([...enter(dir), `/${program}`, '--version'], { env });
        assert.match(
          stdout,
          new RegExp(`^${program} .*linux-x64${libc === 'musl' ? '-musl' : ''}\\)\n$`),
          stderr,
        );
      }
    });

    it('run a broker and clients that find it by name', async () => {
      const [file = '', ...words] = enter(dir);
      const broker = follow(
        spawn(file, [...words, '/bpbroker', 'start'], { env, stdio: ['ignore', 'pipe', 'pipe'] }),
      );
      const { port, udpPort } = await waitFor('the ready line', () => parseReady(broker.stderr()));
      const address = ['--bpbroker', `127.0.0.1:${port}`];
      assert.equal(
        (await bpclient(...address, 'service', 'register', '--name', 'a', '--data', 'b')).stdout,
        'b\n',
      );
      assert.equal((await bpclient(...address, 'service', 'get', '--name', 'a')).stdout, 'b\n');
      assert.equal((await bpclient(...address, 'service', 'get', '--name', 'none')).code, 3);
      const found = await bpclient('discover', '--name', 'a', '--port', String(udpPort));
      assert.equal(found.stdout, `127.0.0.1:${port}\n`, found.stderr);
      assert.equal(await broker.stop('SIGTERM'), 0, broker.stderr());
      assert.ok(existsSync(path.join(dir, 'data', 'etc', 'bpbroker.json')));
    });

    it('leave nothing outside their own folders', () => {
      const own = libc === 'musl' ? ['lib'] : ['lib', 'lib64'];
      assert.deepEqual(
        readdirSync(dir).toSorted(),
        ['bpbroker', 'bpclient', 'data', 'home', 'proc', ...own].toSorted(),
      );
    });
  });
}
