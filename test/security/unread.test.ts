import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { BrokerClient } from '../../src/client/client.ts';
import { connectTo, skipOf } from '../programs/support.ts';
import { launchers, type RunningBroker, startBroker } from '../support/programs/programs.ts';
import { connectRaw } from '../support/network/raw.ts';
import { waitFor } from '../support/wait.ts';

/** Row "unread answers" of the security page: what clients do not read must not fill the broker's memory. */

const MIB = 1024 * 1024;
const procProblem = process.platform === 'linux' ? false : 'reads memory from /proc: needs Linux';

for (const launcher of launchers) {
  const skip = skipOf(launcher) || procProblem;
  describe(`unread answers of a broker on ${launcher.name}`, { skip }, () => {
    const keys = Array.from({ length: 16 }, (_, i) => `key ${i}`);
    let broker: RunningBroker;
    let client: BrokerClient;
    const sockets: TLSSocket[] = [];

    // A new one for each: memory that was used once is not given back at once.
    beforeEach(async () => {
      broker = await startBroker(launcher, { config: { services: { _access_key: [...keys, 'writer'] } } });
      client = await connectTo(broker, { accessKey: 'writer' });
    });
    afterEach(async () => {
      client?.close();
      await broker?.kill();
    });

    /** Sends a request on a connection of its own, and reads nothing. */
    async function ask(path: string, key: string, times = 1): Promise<void> {
      const socket = await connectRaw(broker.port);
      sockets.push(socket);
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n\r\n`.repeat(times));
    }

    /**
     * Bytes of memory that the broker has at most while `work` runs, and until it has come to rest; `leave`
     * closes what was opened.
     */
    async function peak(work: () => Promise<void>, leave = true): Promise<number> {
      let most = 0;
      const look = (): number => {
        const [, kib = '0'] =
          /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8')) ?? [];
        most = Math.max(most, Number(kib) * 1024);
        return Number(kib) * 1024;
      };
      const looking = setInterval(look, 50);
      await work();
      let last = 0;
      let same = 0;
      await waitFor(
        'memory to settle',
        async () => {
          const now = look();
          same = Math.abs(now - last) < 8 * MIB ? same + 1 : 0;
          last = now;
          await client.ping();
          return same > 30;
        },
        30_000,
      );
      clearInterval(looking);
      if (leave) for (const socket of sockets.splice(0)) socket.destroy();
      return most;
    }

    it('row "unread answers": 40 lists of 20 MB stay under 300 MiB', async () => {
      for (let i = 0; i < 20; i++) await client.replace(`list ${i}`, 'x'.repeat(1_000_000));
      const most = await peak(async () => {
        await Promise.all(
          keys
            .concat(keys, keys)
            .slice(0, 40)
            .map((key) => ask('/services/List', key)),
        );
      });
      assert.ok(most < 300 * MIB, `${Math.round(most / MIB)} MiB`);
    });

    it('row "unread answers": 400 gets of 1 MB on one connection cost less than 100 MiB', async () => {
      await client.replace('long', 'x'.repeat(1_000_000));
      const quiet = await peak(() => Promise.resolve());
      const most = await peak(() => ask('/services/Get?name=long', keys[0] ?? '', 400));
      assert.ok(most - quiet < 100 * MIB, `${Math.round((most - quiet) / MIB)} MiB`);
    });

    it('row "unread answers": 992 event streams and 30 changes of 100 KB cost less than 150 MiB', async () => {
      // What the connections themselves take is the runtime's own.
      const quiet = await peak(async () => {
        for (let i = 0; i < 62; i++) await Promise.all(keys.map((key) => ask('/services/Watch', key)));
      }, false);
      const most = await peak(async () => {
        for (let i = 0; i < 30; i++) await client.replace('changing', String(i).padEnd(100_000, 'x'));
      });
      // Deno's TLS keeps buffers of its own for each connection.
      const limit = launcher.name === 'deno' ? 250 : 150;
      assert.ok(most - quiet < limit * MIB, `${Math.round((most - quiet) / MIB)} MiB`);
    });
  });
}

const usable = launchers.filter((launcher) => skipOf(launcher) === false);

it(
  'row "unread answers": one that nobody reads is cut off, by every program',
  { skip: procProblem },
  async () => {
    await Promise.all(
      usable.map(async (launcher) => {
        const broker = await startBroker(launcher);
        const client = await connectTo(broker);
        for (let i = 0; i < 12; i++) await client.replace(`list ${i}`, 'x'.repeat(1_000_000));
        client.close();
        await waitFor('the client to be gone', () => connectionsTo(broker.port) === 0);
        const unread = await connectRaw(broker.port);
        unread.pause();
        unread.write('GET /services/List HTTP/1.1\r\nHost: x\r\n\r\n');
        await waitFor(`${launcher.name} to open it`, () => connectionsTo(broker.port) === 1);
        await waitFor(`${launcher.name} to close it`, () => connectionsTo(broker.port) === 0, 60_000);
        unread.destroy();
        await broker.kill();
      }),
    );
  },
);

/** How many connections the system has at a port of this host, at the listener's end. */
function connectionsTo(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const ESTABLISHED = '01';
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/ +/))
    .filter(([, at = '', , state]) => at.endsWith(local) && state === ESTABLISHED).length;
}
