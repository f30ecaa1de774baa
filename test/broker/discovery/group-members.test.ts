import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGroupMembers, createGroupSockets } from '../../../src/broker/discovery/group-members.ts';
import { DISCOVERY_GROUP } from '../../../src/protocol/discovery/datagrams.ts';
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

describe('createGroupSockets()', { skip: links.length === 0 && 'needs an IPv6 link-local address' }, () => {
  it('goes on after a look that failed, and opens the sockets in the next one', async () => {
    const [link] = links;
    const opened: string[] = [];
    let tries = 0;
    const hear = (address: string): Promise<UdpSocket> => {
      if (++tries === 1) return Promise.reject(new Error('no descriptors'));
      opened.push(address);
      return Promise.resolve({
        join: () => undefined,
        close: () => Promise.resolve(),
      } as unknown as UdpSocket);
    };
    const sockets = createGroupSockets(`${link?.linkLocal}%${link?.zone}`, hear, silentLogger);
    await sockets.look();
    assert.deepEqual(opened, []);
    await sockets.look();
    assert.deepEqual(opened, [`${DISCOVERY_GROUP}%${link?.zone}`]);
    await sockets.close();
  });
});
