import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { launchers, run, type RunResult, startBroker } from '../../support/programs/programs.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { hashAccessKey } from '../../../src/config/access-key.ts';
import { lacking } from '../../support/programs/tools.ts';
import { sendRaw } from '../../support/network/raw.ts';
import { tempDir } from '../../support/temp.ts';
import { bpbroker, reference, skipOf } from '../support.ts';

describe('keygen', () => {
  it('prints a key of 256 bits, another one each time', async () => {
    const dir = tempDir();
    const one = await bpbroker(dir, ['keygen']);
    assert.match(one.stdout, /^[0-9a-f]{64}\n$/);
    assert.notEqual((await bpbroker(dir, ['keygen'])).stdout, one.stdout);
  });

  it('--key-file hashes an existing key, as --access-key-file reads it', async () => {
    const dir = tempDir();
    const hash = 'sha256:3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0';
    const outcome = ({ code, stdout }: RunResult): unknown => [code, stdout];
    for (const text of ['token', 'token\n', ' token \r\n']) {
      writeFileSync(path.join(dir, 'key'), text);
      assert.deepEqual(outcome(await bpbroker(dir, ['keygen', '--key-file', 'key'])), [0, `${hash}\n`]);
      const piped = await bpbroker(dir, ['keygen', '--hash', '--key-file', '-'], text);
      assert.deepEqual(outcome(piped), [0, `${hash}\n`]);
      assert.match(piped.stderr, /^This key is short: .*\n$/);
    }
    const long = await bpbroker(dir, ['keygen', '--hash', '--key-file', '-'], 'x'.repeat(32));
    assert.equal(long.stderr, '');
  });

  for (const launcher of launchers) {
    const skip = skipOf(launcher) || lacking('python3');
    it(
      `waits for a standard input that another program has made non-blocking, on ${launcher.name}`,
      { skip },
      async () => {
        const home = tempDir();
        const slow = [
          'import os, subprocess, sys, time',
          'end, start = os.pipe()',
          'os.set_blocking(end, False)',
          'child = subprocess.Popen(sys.argv[1:], stdin=end)',
          'os.close(end)',
          "for part in (b'x' * 32, b'y' * 32):",
          '  time.sleep(0.7)',
          '  os.write(start, part)',
          'os.close(start)',
          'sys.exit(child.wait())',
        ];
        const command = [...launcher.bpbroker, 'keygen', '--key-file', '-'];
        const { code, stdout, stderr } = await run(['python3', '-c', slow.join('\n'), ...command], {
          env: cleanEnv(home),
          cwd: home,
        });
        assert.equal(code, 0, stderr);
        assert.equal(stdout, `${hashAccessKey('x'.repeat(32) + 'y'.repeat(32))}\n`);
      },
    );
  }

  it('refuses an empty key and a file that is not there', async () => {
    const dir = tempDir();
    const wrong: [readonly string[], RegExp][] = [
      [['--key-file', '-'], /Standard input is empty: give a key/],
      [['--key-file', 'nope'], /Cannot read --key-file nope: /],
    ];
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await bpbroker(dir, ['keygen', ...args], ' \n');
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, message);
    }
  });

  for (const launcher of launchers) {
    it(
      `--hash makes a key whose hash in the configuration lets it pass, on ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const home = tempDir();
        const made = await run([...launcher.bpbroker, 'keygen', '--hash'], {
          env: cleanEnv(home),
          cwd: home,
        });
        const [key = '', hash = ''] = made.stdout.split('\n');
        assert.match(made.stdout, /^[0-9a-f]{64}\nsha256:[0-9a-f]{64}\n$/);
        const programs = { bpbroker: launcher.bpbroker, bpclient: reference.bpclient };
        const broker = await startBroker(programs, { config: { services: { _access_key: hash } } });
        const list = async (with_: string): Promise<unknown> =>
          (await broker.client(['service', 'list'], { env: { BPBROKER_ACCESS_KEY: with_ } })).code;
        assert.deepEqual([await list(key), await list(hash), await list(hash.slice(7))], [0, 5, 5]);
        await broker.kill();
      },
    );
  }
});

describe('row "brute force"', () => {
  for (const launcher of launchers) {
    it(
      `a client on ${launcher.name} learns when to try again, and one that waits does`,
      { skip: skipOf(launcher) },
      async () => {
        const programs = { bpbroker: reference.bpbroker, bpclient: launcher.bpclient };
        const broker = await startBroker(programs, { config: { services: { _access_key: 'right' } } });
        const list = async (key: string, localAddress = '127.0.0.1'): Promise<number> => {
          const request = `GET /services/List?access_key=${key} HTTP/1.1\r\nHost: x\r\n\r\n`;
          return (await sendRaw(broker.port, request, { responses: 1, localAddress })).status;
        };
        for (let i = 0; i < 10; i++) assert.equal(await list('wrong'), 401);
        const get = ['service', 'get', '--name', 'x', '--access-key', 'right'];
        const refused = await broker.client(get);
        assert.equal(refused.code, 1);
        assert.match(
          refused.stderr,
          /Fatal error: Too many wrong access keys came from 127\.0\.0\.1: try again in \d\d s\n$/,
        );
        const waited = await broker.client([...get, '--wait', '--timeout', '1s']);
        assert.equal(waited.code, 9, waited.stderr);
        assert.equal(await list('right', '127.0.0.2'), 200, 'another address of this host');
        await broker.kill();
      },
    );
  }
});
