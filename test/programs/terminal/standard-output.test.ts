import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { connectTo, reference, skipOf } from '../support.ts';

/** Longer and shorter than what a pipe takes whole, or takes at all. */
const sizes = [1, 400, 600, 5000, 300_000];

// Starts a command whose standard output is a pipe that does not block and is full already; says what came after that.
const throughFullPipe = `
import fcntl, os, subprocess, sys, time
r, w = os.pipe()
fcntl.fcntl(w, fcntl.F_SETFL, fcntl.fcntl(w, fcntl.F_GETFL) | os.O_NONBLOCK)
filled = 0
try:
    while True: filled += os.write(w, b'x')
except BlockingIOError:
    pass
child = subprocess.Popen(sys.argv[1:], stdout=w)
os.close(w)
time.sleep(0.5)
got = b''
while part := os.read(r, 65536): got += part
sys.stdout.write(got[filled:].decode())
sys.exit(child.wait())
`;

describe('standard output', () => {
  let broker: RunningBroker;
  before(async () => {
    broker = await startBroker(reference);
    const client = await connectTo(broker);
    for (const size of sizes) await client.replace(`size/${size}`, valueOf(size));
    client.close();
  });
  after(() => broker.kill());

  const valueOf = (size: number): string => 'ü'.repeat(size / 2) + 'a'.repeat(size % 2);
  const python = spawnSync('python3', ['--version']).status === 0 ? false : 'python3 is not here';
  const full = process.platform === 'linux' ? false : 'there is no /dev/full';

  for (const launcher of launchers) {
    describe(`on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
      const home = tempDir();
      const env = cleanEnv(home);
      const get = (size: number): string[] => {
        const named = ['-b', `127.0.0.1:${broker.port}`, 'service', 'get', '--name', `size/${size}`];
        return [...launcher.bpclient, ...named];
      };
      const shell = (script: string, size: number): ReturnType<typeof run> =>
        run(['bash', '-c', `set -o pipefail; ${script}`, 'bash', ...get(size)], { env, cwd: home });

      it('gets all of a result, once', async () => {
        for (const size of sizes) {
          assert.equal((await shell('"$@" | { sleep 0.2; cat; }', size)).stdout, `${valueOf(size)}\n`);
          assert.equal((await shell('"$@" > out; cat out', size)).stdout, `${valueOf(size)}\n`);
        }
      });

      // Deno keeps what a full pipe refuses, and writes it later too: nothing of ours can mend that.
      if (launcher.name !== 'deno') {
        it('gets it through a pipe that is full and does not block', { skip: python }, async () => {
          for (const size of sizes) {
            const { code, stdout } = await run(['python3', '-c', throughFullPipe, ...get(size)], {
              env,
              cwd: home,
            });
            assert.deepEqual([code, stdout], [0, `${valueOf(size)}\n`], `${size} bytes`);
          }
        });
      }

      it('may be closed by a reader that has seen enough', async () => {
        for (const size of sizes) {
          const { code, stderr } = await shell('"$@" | true', size);
          assert.deepEqual([code, stderr.replace(/^First contact.*\n/, '')], [0, ''], `${size} bytes`);
        }
      });

      it('says when it takes no more', { skip: full }, async () => {
        for (const size of sizes) {
          const { code, stderr } = await shell('"$@" > /dev/full', size);
          assert.equal(code, 1, `${size} bytes`);
          assert.match(stderr, /^Fatal error: .*no space left on device/im);
        }
      });
    });
  }
});
