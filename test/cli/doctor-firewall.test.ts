import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { searchPath } from '../../src/cli/doctor/host/firewall.ts';
import { dropsBy, type Packets, readChains } from '../../src/cli/doctor/host/nft.ts';

const query: Packets = { protocol: 'udp', end: 'dport', port: 20443 };

/** What the one chain of a table with these rules does with a query. */
function verdict(rules: string, { policy = 'accept', packets = query } = {}): string | undefined {
  const [chain] = readChains(
    `table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy ${policy};\n${rules
      .split('\n')
      .map((rule) => `\t\t${rule}\n`)
      .join('')}\t}\n}\n`,
  );
  assert.ok(chain);
  return dropsBy(chain, packets);
}

describe('readChains()', () => {
  it('reads the chains that packets of this host pass first, and no others', () => {
    const chains = readChains(
      [
        'table ip nat {',
        '\tchain POSTROUTING {',
        '\t\ttype nat hook postrouting priority srcnat; policy accept;',
        '\t}',
        '}',
        'table inet filter {',
        '\tset allowed {',
        '\t\ttype ipv4_addr',
        '\t}',
        '\tchain ports {',
        '\t\tudp dport 20443 accept',
        '\t}',
        '\tchain input {',
        '\t\ttype filter hook input priority 0; policy drop;',
        '\t\tct state established,related accept',
        '\t\tjump ports',
        '\t}',
        '\tchain output {',
        '\t\ttype filter hook output priority filter; policy accept;',
        '\t}',
        '}',
      ].join('\n'),
    );
    assert.deepEqual(
      chains.map(({ table, name, hook, policy, rules }) => [table, name, hook, policy, rules.length]),
      [
        ['inet filter', 'input', 'input', 'drop', 2],
        ['inet filter', 'output', 'output', 'accept', 0],
      ],
    );
  });
});

describe('readChains() of other families', () => {
  const chain = (family: string): string =>
    `table ${family} filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n`;

  it('reads those that IPv4 passes alone: a drop of IPv6, ARP or of a bridge leaves the broker in reach', () => {
    for (const family of ['ip6', 'arp', 'bridge']) assert.deepEqual(readChains(chain(family)), [], family);
    const chains = readChains(['ip6', 'ip', 'bridge', 'inet'].map(chain).join(''));
    assert.deepEqual(
      chains.map(({ table }) => table),
      ['ip filter', 'inet filter'],
    );
  });

  it('takes a rule for IPv6 in a table of both for one of some packets', () => {
    assert.equal(verdict('ip6 nexthdr udp drop'), undefined);
    assert.equal(verdict('meta nfproto ipv6 drop'), undefined);
  });
});

describe('searchPath()', () => {
  it('never leads to the current folder', () => {
    assert.equal(searchPath(undefined), '/usr/sbin:/sbin');
    assert.equal(searchPath(''), '/usr/sbin:/sbin');
    assert.equal(searchPath(':/usr/bin::/bin:'), '/usr/bin:/bin:/usr/sbin:/sbin');
  });
});

describe('dropsBy()', () => {
  const dropping: readonly string[] = [
    'udp dport 20443 drop',
    'udp dport { 22, 20443 } counter packets 3 bytes 180 drop comment "no; accept"',
    'udp dport 20000-21000 reject',
    'meta l4proto { tcp, udp } th dport 20443 log prefix "dropped: " drop',
    'ip protocol udp reject with icmp type port-unreachable',
    'tcp dport 20443 accept\ndrop',
    'iif "lo" accept\nct state established,related accept\ncounter packets 0 bytes 0 drop',
  ];
  for (const rules of dropping) {
    it(`sees the drop in: ${rules.replaceAll('\n', '; ')}`, () => {
      assert.equal(verdict(rules), rules.split('\n').at(-1));
    });
  }

  const passing: readonly string[] = [
    '',
    'tcp dport 20443 drop',
    'udp sport 20443 drop',
    'udp dport 20444 drop',
    'udp dport 20443 accept\ndrop',
    'ip saddr 192.0.2.0/24 udp dport 20443 drop',
    'ct state invalid drop',
    'jump ports\ndrop',
    'ip saddr 10.0.0.0/8 accept\ndrop',
    'udp dport 20443 counter packets 0 bytes 0 accept comment "drop"\ndrop',
    'udp dport @ports accept\ndrop',
    'udp dport != 53 accept\ndrop',
    'udp dport vmap { 22 : drop, 20443 : accept }\ndrop',
  ];
  for (const rules of passing) {
    it(`says nothing of: ${rules.replaceAll('\n', '; ') || 'no rules'}`, () => {
      assert.equal(verdict(rules), undefined);
    });
  }

  it('goes by the policy where no rule decides', () => {
    assert.equal(verdict('ct state established,related accept', { policy: 'drop' }), 'policy drop');
    assert.equal(verdict('udp dport 20443 accept', { policy: 'drop' }), undefined);
    assert.equal(verdict('ct state established,new accept', { policy: 'drop' }), undefined);
    const answers: Packets = { protocol: 'udp', end: 'sport', port: 20443 };
    assert.equal(verdict('udp dport 20443 accept', { policy: 'drop', packets: answers }), 'policy drop');
    assert.equal(verdict('udp sport 20443 accept', { policy: 'drop', packets: answers }), undefined);
  });
});
