import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { BrokerClient } from '../../src/client/client.ts';
import { connectTo, skipOf } from '../programs/support.ts';
import { launchers, type RunningBroker, startBroker } from '../support/programs.ts';
import { connectRaw } from '../support/raw.ts';
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
    let sockets: TLSSocket[] = [];

    before(async () => {
      broker = await startBroker(launcher, { config: { services: { _access_key: [...keys, 'writer'] } } });
      client = await connectTo(broker, { accessKey: 'writer' });
    });
    after(async () => {
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

    /** Bytes of memory that the broker has at the most while `work` runs, and until it has come to rest. */
    async function peak(work: () => Promise<void>): Promise<number> {
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
          same = Math.abs(now - last) < MIB ? same + 1 : 0;
          last = now;
          await client.ping();
          return same > 30;
        },
        30_000,
      );
      clearInterval(looking);
      for (const socket of sockets) socket.destroy();
      sockets = [];
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
      process.stdout.write(`${launcher.name}: lists ${Math.round(most / MIB)} MiB\n`);
      assert.ok(most < 300 * MIB, `${Math.round(most / MIB)} MiB`);
    });

    it('row "unread answers": 400 gets of 1 MB on one connection stay under 250 MiB', async () => {
      const most = await peak(() => ask('/services/Get?name=list+1', keys[0] ?? '', 400));
      process.stdout.write(`${launcher.name}: gets ${Math.round(most / MIB)} MiB\n`);
      assert.ok(most < 250 * MIB, `${Math.round(most / MIB)} MiB`);
    });

    it('row "unread answers": 900 event streams and 30 changes of 100 KB stay under 250 MiB', async () => {
      const most = await peak(async () => {
        for (let i = 0; i < 60; i++)
          await Promise.all(keys.slice(0, 15).map((key) => ask('/services/Watch', key)));
        for (let i = 0; i < 30; i++) await client.replace('changing', String(i).padEnd(100_000, 'x'));
      });
      process.stdout.write(`${launcher.name}: streams ${Math.round(most / MIB)} MiB\n`);
      assert.ok(most < 250 * MIB, `${Math.round(most / MIB)} MiB`);
    });
  });
}
