import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { atEnd } from '../../support/cleanup.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import { launchers } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { lacking } from '../../support/programs/tools.ts';
import { connectTo, skipOf } from '../support.ts';
import { brokerWith } from './extension-files.ts';

/**
 * A method that holds the whole host until a file exists, and meanwhile reads nothing. Then the broker has gone, and it ends as the
 * call has asked.
 */
const script = `
import { existsSync, writeFileSync } from 'node:fs';
export function Hold({ data }) {
  writeFileSync(data.pid, String(process.pid));
  while (!existsSync(data.go)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  if (data.end === 'prints') for (let i = 0; i < 100; i++) console.log('printed for nobody');
  if (data.end === 'writes') for (let i = 0; i < 100; i++) process.stderr.write('written for nobody');
  if (data.end === 'throws') throw new Error('thrown for nobody');
  if (data.end === 'fails later') setTimeout(() => { throw new Error('nobody handles this'); }, 0);
  if (data.end === 'rejects later') Promise.reject(new Error('nobody handles this'));
  return 'answered for nobody';
}
`;
const python = `
import json, os, time
def Hold(rh):
    data = json.loads(rh.qs["data"])
    with open(data["pid"], "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(data["go"]):
        time.sleep(0.02)
    if data["end"] == "prints":
        for i in range(100):
            print("printed for nobody")
    if data["end"] == "writes":
        os.write(2, b"written for nobody")
    if data["end"] == "throws":
        raise RuntimeError("thrown for nobody")
    rh.data = "answered for nobody"
`;
const ends: Readonly<Record<string, readonly string[]>> = {
  script: ['answers', 'prints', 'writes', 'throws', 'fails later', 'rejects later'],
  python: ['answers', 'prints', 'writes', 'throws'],
};

const noSignals = process.platform === 'win32' && 'kills brokers as POSIX does';

for (const launcher of launchers) {
  describe(
    `the host of a broker that was killed, on ${launcher.name}`,
    { skip: skipOf(launcher) || noSignals, concurrency: 2 },
    () => {
      for (const [language, all] of Object.entries(ends))
        for (const end of all)
          it(
            `ends, though its method ${end}: ${language}`,
            { skip: language === 'python' && lacking('python3') },
            async () => {
              const dir = tempDir();
              const [pidFile, go] = [path.join(dir, 'pid'), path.join(dir, 'go')];
              const broker = await brokerWith(launcher, { 'script.mjs': script, 'python.py': python });
              const data = JSON.stringify({ pid: pidFile, go, end });
              const called = broker.client(['execute', '--method', `${language}.Hold`, '--data', data]);
              const pid = await waitFor('the method to begin', () =>
                existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : undefined,
              );
              atEnd(() => killIfThere(pid));
              await broker.kill();
              assert.notEqual((await called).code, 0);
              writeFileSync(go, '');
              await waitFor('the host to end', () => !isRunning(pid));
            },
          );
    },
  );
}

const leaver = `#!/bin/sh
printf %s "$BPBROKER_ACCESS_KEY" >"$(dirname "$0")/../key.new"
mv "$(dirname "$0")/../key.new" "$(dirname "$0")/../key"
until [ -e "$(dirname "$0")/../go" ]; do sleep 0.02; done
`;

for (const launcher of launchers) {
  describe(
    `a watch with the key of a call, on ${launcher.name}`,
    { skip: skipOf(launcher) || noSignals },
    () => {
      it('ends with the call', async () => {
        const broker = await brokerWith(launcher, { leaver }, { services: { _access_key: 'another' } });
        const [key, go] = ['key', 'go'].map((name) => path.join(broker.dir, 'bpbroker', name)) as [
          string,
          string,
        ];
        const caller = await connectTo(broker, { accessKey: 'another' });
        const call = caller.execute('leaver.Leave').then((execution) => execution.text());
        await waitFor('its key', () => existsSync(key));
        const leftBehind = await connectTo(broker, { accessKey: readFileSync(key, 'utf8') });
        const changes = leftBehind.watch({ after: 0 });
        await caller.register('before', 'x');
        assert.equal((await changes.next()).value?.revision, 1);
        writeFileSync(go, '');
        await call;
        await caller.register('after', 'secret');
        await assert.rejects(changes.next(), { code: 'access_denied' });
        // It comes with its key for long, and that is no guess: it does not count against others of this host.
        for (let times = 0; times < 12; times++)
          await assert.rejects(leftBehind.get('after'), {
            code: 'access_denied',
            message: /the call .* is over/i,
          });
        assert.equal((await caller.get('after')).data, 'secret');
        caller.close();
        leftBehind.close();
        await broker.kill();
      });
    },
  );
}
