import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openKnownBrokers } from '../../../src/client/trust/known-brokers.ts';
import { nameKey } from '../../../src/client/trust/name-key.ts';
import { cleanEnv, launchers, run, type RunResult } from '../../support/programs/programs.ts';
import { skipOf } from '../support.ts';
import { homeWith, other } from './known-brokers-support.ts';

/** Row "known_brokers" of the security page: how the file is changed, and its lines of names. */

const posix = process.platform === 'win32' ? 'Windows has no sh' : false;

describe('row "known_brokers": the line of a name', () => {
  it('counts however it is written', () => {
    for (const key of ['name=prod%2Fdb', 'name=prod/db', 'NAME=prod%2fdb', 'Name=%70rod/db']) {
      const known = openKnownBrokers(homeWith(`${key} ${other}\n`).file);
      assert.equal(known.get(nameKey('prod/db'))?.fingerprint, '0'.repeat(64), key);
      assert.equal(known.forget(nameKey('prod/db')), true, key);
    }
  });
});

describe('row "known_brokers": an address', () => {
  it('that no line could give back is refused, and nothing is written', () => {
    const { file } = homeWith(`10.0.0.1:20443 ${other}\n`);
    const known = openKnownBrokers(file);
    const before = readFileSync(file, 'utf8');
    for (const address of ['b\u00fccher.example:20443', '.:20443', 'two words', '10.0.0.5:99999', '']) {
      const pin = { fingerprint: '0'.repeat(64) };
      const refused = { code: 'invalid_config', message: /known_brokers cannot hold '/ };
      assert.throws(() => known.add(address, pin), refused, address);
      assert.throws(() => known.set(address, pin), refused, address);
      assert.equal(known.get(address), undefined, address);
    }
    assert.equal(readFileSync(file, 'utf8'), before);
  });
});

for (const launcher of launchers) {
  describe(`the file known_brokers on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    const trusting = (at: string): string[] => [
      ...launcher.bpbroker,
      'trust',
      '--timeout',
      '300ms',
      '-b',
      at,
      '--fingerprint',
      other,
    ];
    const trust = (home: string, at: string): Promise<RunResult> =>
      run(trusting(at), { env: cleanEnv(home), cwd: home });

    it('takes over the lock of a program that died', async () => {
      const { home, file } = homeWith('');
      writeFileSync(`${file}.lock`, 'dead');
      utimesSync(`${file}.lock`, 1, 1);
      assert.equal((await trust(home, '10.0.0.1')).code, 0);
      assert.equal(readFileSync(file, 'utf8'), `10.0.0.1:20443 ${other}\n`);
      assert.deepEqual(readdirSync(path.dirname(file)), ['known_brokers']);
    });

    it(
      'row "known_brokers": a disk with room for a part of it takes nothing from it',
      { skip: posix },
      async () => {
        const content = `${`# ${'x'.repeat(97)}\n`.repeat(1000)}10.0.0.1:20443 ${other}\n`;
        const { home, file } = homeWith(content);
        // Files may have 64 blocks of 512 bytes. With its signal ignored, a write is short, and the next one fails.
        const limited = 'trap "" XFSZ; ulimit -f "$0"; exec "$@"';
        for (const blocks of ['64', '0']) {
          const { code, stderr } = await run(['sh', '-c', limited, blocks, ...trusting('10.0.0.2')], {
            env: cleanEnv(home),
            cwd: home,
          });
          assert.notEqual(code, 0, blocks);
          assert.match(stderr, /Fatal error: Cannot write \S*known_brokers: [^\n]+\n$/, blocks);
          assert.equal(readFileSync(file, 'utf8'), content, blocks);
          assert.deepEqual(readdirSync(path.dirname(file)), ['known_brokers'], 'nothing is left beside it');
        }
      },
    );
  });
}
