import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ownAddresses } from '../../../src/broker/discovery/own-addresses.ts';
import type { NetworkInterface } from '../../../src/runtime/network/interfaces.ts';

const netmask = '255.255.255.0';
const links: readonly NetworkInterface[] = [
  {
    name: 'lo',
    loopback: true,
    ipv4: [{ address: '127.0.0.1', netmask: '255.0.0.0' }],
    ipv6: ['::1'],
    zone: 'lo',
  },
  {
    name: 'bridge0',
    loopback: false,
    ipv4: [{ address: '172.17.0.1', netmask }],
    ipv6: ['fe80::17'],
    linkLocal: 'fe80::17',
    zone: 'bridge0',
  },
  {
    name: 'eth0',
    loopback: false,
    ipv4: [{ address: '10.0.0.5', netmask }],
    ipv6: ['fe80::5', 'fd00::5'],
    linkLocal: 'fe80::5',
    zone: 'eth0',
  },
];

describe('the addresses that a broker names', () => {
  it('begin with those of the link that the question came from', () => {
    const eth = ['10.0.0.5', 'fd00::5', 'fe80::5'];
    assert.deepEqual(ownAddresses('', '10.0.0.77', links), [...eth, '172.17.0.1']);
    assert.deepEqual(ownAddresses('', 'fe80::77%eth0', links), [...eth, '172.17.0.1']);
    assert.deepEqual(ownAddresses('::', '192.0.2.1', links), ['172.17.0.1', '10.0.0.5', 'fd00::5']);
    // Its link is not known, so it may be on any.
    assert.deepEqual(ownAddresses('', 'fe80::77', links), ['172.17.0.1', 'fe80::17', ...eth]);
  });

  it('hold loopback for this host alone', () => {
    assert.deepEqual(ownAddresses('', '127.0.0.1', links).slice(0, 2), ['127.0.0.1', '::1']);
    assert.ok(!ownAddresses('', '10.0.0.77', links).includes('127.0.0.1'));
  });

  it('are the one that it listens on, or IPv4 alone, if it is configured so', () => {
    assert.deepEqual(ownAddresses('10.0.0.5', '10.0.0.77', links), ['10.0.0.5']);
    assert.deepEqual(ownAddresses('fe80::5%eth0', 'fe80::77%eth0', links), ['fe80::5']);
    assert.deepEqual(ownAddresses('0.0.0.0', '10.0.0.77', links), ['10.0.0.5', '172.17.0.1']);
  });
});
