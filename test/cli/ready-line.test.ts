import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { announce } from '../../src/cli/start/ready-line.ts';

const home = { root: '/x', configFile: '/x/etc/bpbroker.json', lib: '/x/lib', backups: '/x/backups' };

/** What may be typed next to a broker on this port and address, without the program. */
function stepsAt(port: number, listenIp: string, keyed = false): string[] {
  const address = { url: `https://h:${port}`, port, udpPort: port, fingerprint: '0'.repeat(64), keyed };
  const place = { file: home.configFile, home, backups: home.backups, isGiven: true };
  const { steps } = announce({ ...place, address, listenIp, format: 'text', isNew: false });
  return [...steps.matchAll(/^ {2}(?:npx )?bpbroker (.*)$/gm)].map(([, step = '']) => step);
}

describe('what start says to type next', () => {
  const ping = (at: string): string[] => [
    `--bpbroker ${at} ping --data hello`,
    `--bpbroker ${at} service register --name foo --data bar`,
  ];
  const find = (by: string): string[] => [`discover --name foo${by}`, `service get --name foo${by}`];

  it('names the address that the broker listens on', () => {
    for (const every of ['', '::', '0.0.0.0'])
      assert.deepEqual(stepsAt(20_443, every), [...ping('127.0.0.1'), ...find('')]);
    assert.deepEqual(stepsAt(20_443, '10.0.0.5'), [...ping('10.0.0.5'), ...find('')]);
    assert.deepEqual(stepsAt(20_444, 'fd00::5'), [...ping('[fd00::5]:20444'), ...find(' --port 20444')]);
  });

  it('names the port in every line when it is not the usual one', () => {
    assert.deepEqual(stepsAt(20_444, ''), [...ping('127.0.0.1:20444'), ...find(' --port 20444')]);
    const keyed = ' --port 20444 --discover-key-file FILE';
    assert.deepEqual(stepsAt(20_444, '', true), [...ping('127.0.0.1:20444'), ...find(keyed)]);
  });

  it('has no search from other hosts for a broker on loopback', () => {
    assert.deepEqual(stepsAt(20_443, '127.0.0.2'), ping('127.0.0.2'));
    assert.deepEqual(stepsAt(20_443, '::1'), ping('::1'));
  });
});
