import assert from 'node:assert/strict';
import { chmodSync, renameSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import { extensionDir } from '../../support/registry/extensions.ts';
import { launchers, type RunningBroker } from '../../support/programs/programs.ts';
import { waitFor } from '../../support/wait.ts';
import { brokerWith } from './extension-files.ts';
import { connectTo, skipOf, startClient } from '../support.ts';

const script = `
export const Fine = () => 'fine';
export const Log = ({ log, data }) => { log.info(data); return 'logged'; };
export const Throw = ({ data }) => { throw data; };
export const Long = () => 'a'.repeat(65_535) + '\u{1F600}' + 'b'.repeat(70_000);
export const NotFound = () => new Response('no such thing', { status: 404 });
export const Type = () => new Response('x', { headers: { 'content-type': 'text/plain' } });
export async function* Endless({ data }) {
  for (;;) { yield 'x'; await new Promise((resolve) => setTimeout(resolve, 20)); }
}
export async function* Steps({ log, signal }) {
  log.info('the steps have begun');
  for (let i = 1; i <= 3; i++) {
    yield \`\${i}\\n\`;
    await new Promise((resolve) => setTimeout(resolve, 300));
    signal.throwIfAborted();
  }
}
export const Slow = ({ log }) => {
  log.info('the slow call has begun');
  return new Promise((resolve) => setTimeout(resolve, 1000, 'slow'));
};
`;
const python = `
import json
def Nan(rh): rh.registry.replace("n", {"x": float("nan")})
def Type(rh):
    rh.content_type = "text/plain\\n"
    rh.data = "x"
def Fine(rh): rh.data = json.dumps("fine")
`;
const shell = `#!/bin/sh
case "$1" in
  Escapes)
    # Two that print without a pause: an answer is whole once nothing more has come for a while.
    d=$(mktemp -d)
    for n in 1 2; do setsid sh -c ">$d/$n; "'i=0; while [ $i -lt 9999999 ]; do echo x; i=$((i+1)); done' & done
    until [ -e $d/1 ] && [ -e $d/2 ]; do sleep 0.02; done
    rm -r $d
    exit 0 ;;
  *) echo fine ;;
esac
`;
const posix = process.platform === 'win32' && 'shell scripts and links are POSIX';

for (const launcher of launchers) {
  describe(`edges of extensions, on ${launcher.name}`, { skip: skipOf(launcher) || posix }, () => {
    let broker: RunningBroker;
    let client: BrokerClient;
    const lib = (): string => path.join(broker.dir, 'bpbroker', 'lib');
    const run = async (method: string, data?: string): Promise<string> =>
      (await client.execute(method, data === undefined ? {} : { data })).text();

    before(async () => {
      const files = {
        'script.mjs': script,
        'steps.mjs': script,
        'python.py': python,
        'queue.py': 'raise RuntimeError("not this one")\n',
        'shell.sh': shell,
      };
      broker = await brokerWith(launcher, files, {
        script: { _concurrency: 1, _timeout_secs: 5 },
        shell: { _timeout_secs: 10 },
        linked: {},
      });
      client = await connectTo(broker);
    });
    after(() => broker.kill());

    it('what an extension logs or throws may be anything, and ends no broker', async () => {
      for (const data of ['{"toString": 1}', '{"a": [1]}', 'text']) {
        assert.equal(await run('script.Log', data), 'logged');
        await assert.rejects(run('script.Throw', data), { code: 'extension_failed' });
      }
      await waitFor('the log', () => broker.stderr().includes('{\\"a\\":[1]}'));
      assert.equal(await run('script.Fine'), 'fine');
    });

    it('long text comes whole, wherever a character falls', async () => {
      assert.equal(await run('script.Long'), `${'a'.repeat(65_535)}\u{1F600}${'b'.repeat(70_000)}`);
    });

    it("a status of a Response's own is a failure from 400 on", async () => {
      await assert.rejects(run('script.NotFound'), {
        code: 'not_found',
        message: 'no such thing',
        exitCode: 3,
      });
      assert.equal(await run('script.Type'), 'x');
    });

    it('a stream ends when its reader has gone, and its host takes the next call', async () => {
      const gone = startClient(launcher, broker, ['execute', '--method', 'script.Endless']);
      await waitFor('some output', () => gone.stdout().length > 3);
      await gone.stop();
      const began = performance.now();
      assert.equal(await run('script.Fine'), 'fine');
      assert.ok(
        performance.now() - began < 4000,
        'the next call waited for the time limit of the one before',
      );
    });

    it('what is no JSON, or no header, fails the call with its reason', async () => {
      await assert.rejects(run('python.Nan'), { code: 'extension_failed', message: /JSON compliant/ });
      await assert.rejects(run('python.Type'), {
        code: 'extension_failed',
        message: /^Invalid content type/,
      });
    });

    it("a Python extension loads the library's modules, not those beside it", async () => {
      assert.equal(await run('python.Fine'), '"fine"');
    });

    it('the limits hold for what has left its process group, too', async () => {
      await assert.rejects(run('shell.Escapes'), { code: 'extension_timeout' });
      assert.equal(await run('shell.Fine'), 'fine\n');
    });

    it('a link that leads elsewhere, and a folder that others may write, count within a second', async () => {
      extensionDir(
        {
          'targets/one.mjs': "export const Which = () => 'one';",
          'targets/two.mjs': "export const Which = () => 'two';",
        },
        lib(),
      );
      symlinkSync('targets/one.mjs', path.join(lib(), 'linked.mjs'));
      assert.equal(await run('linked.Which'), 'one');
      symlinkSync('targets/two.mjs', path.join(lib(), 'next'));
      renameSync(path.join(lib(), 'next'), path.join(lib(), 'linked.mjs'));
      await waitFor('the other', async () => (await run('linked.Which')) === 'two');
      chmodSync(lib(), 0o777);
      await waitFor('the refusal', () =>
        assert.rejects(run('linked.Which'), /can be written by others/).then(() => true),
      );
      chmodSync(lib(), 0o755);
      await waitFor('the end of the refusal', async () => (await run('linked.Which')) === 'two');
    });

    it('a call under way when the broker stops is finished, or told so', async () => {
      const outputs = { 'script.Slow': 'slow\n', 'steps.Steps': '1\n2\n3\n' };
      const calls = Object.keys(outputs).map((method) =>
        startClient(launcher, broker, ['execute', '--method', method]),
      );
      await waitFor('the calls to run', () =>
        ['the slow call has begun', 'the steps have begun'].every((line) => broker.stderr().includes(line)),
      );
      const [{ code }] = await Promise.all([broker.stop(), ...calls.map(({ ended }) => ended)]);
      assert.equal(code, 0);
      for (const [at, output] of Object.values(outputs).entries()) {
        const call = calls[at];
        if (call?.stdout() === '') assert.match(call.stderr(), /The broker is stopping/);
        else assert.equal(call?.stdout(), output);
      }
    });
  });
}
