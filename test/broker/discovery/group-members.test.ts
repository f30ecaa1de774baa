import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGroupMembers } from '../../../src/broker/discovery/group-members.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { listInterfaces } from '../../../src/runtime/network/interfaces.ts';
import type { UdpSocket } from '../../../src/runtime/network/udp.ts';

const links = listInterfaces().filter(({ linkLocal }) => linkLocal !== undefined);

describe('createGroupMembers()', { skip: links.length === 0 && 'needs an IPv6 link-local address' }, () => {
  it('joins once on each link, and tries again where that failed', () => {
    let isFailing = true;
    const tried: string[] = [];
    const socket: UdpSocket = {
      port: 0,
      send: () => Promise.resolve(undefined),
      join(_, zone) {
        tried.push(zone);
        return isFailing ? new Error('ENOBUFS') : undefined;
      },
      close: () => Promise.resolve(),
    };
    const zones = links.map(({ zone }) => zone);
    const members = createGroupMembers(socket, silentLogger);
    members.look();
    assert.deepEqual(members.zones(), []);
    isFailing = false;
    members.look();
    members.look();
    assert.deepEqual(members.zones(), zones);
    assert.deepEqual(tried, [...zones, ...zones]);
  });
});
