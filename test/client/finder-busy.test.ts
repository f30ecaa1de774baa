import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { discover, type DiscoverOptions, type FoundBroker } from '../../src/client/discovery/finder.ts';
import { MAX_AT_ADDRESS } from '../../src/client/discovery/search.ts';
import { tempDir } from '../support/temp.ts';

const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill();
});

const onLinux = { skip: process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8' };

const find = (options: Partial<DiscoverOptions>): Promise<FoundBroker[]> =>
  discover({
    name: 'foo',
    timeoutMs: 10_000,
    interfaces: ['lo'],
    // As if each address were a broker of its own.
    identify: ({ address }) => Promise.resolve(address),
    ...options,
  });

describe('discover() beside one host that answers from many ports', onLinux, () => {
  it('asks a bounded number of them who they are, and others all the same', async () => {
    const open = async (address: string): Promise<Socket> => {
      // Bun tells of a refused datagram with a later one.
      const socket = createSocket('udp4').on('error', () => undefined);
      await once(socket.bind(0, address), 'listening');
      return socket;
    };
    const asked = await open('127.0.0.1');
    const ports = Array.from({ length: 4 * MAX_AT_ADDRESS }, () => open('127.0.0.1'));
    const sockets = [...(await Promise.all(ports)), await open('127.0.0.2')];
    asked.on('message', (_query, { port, address }) => {
      for (const socket of sockets) socket.send('Key Exists\n', port, address);
    });
    const identified: string[] = [];
    const found = await find({
      port: asked.address().port,
      targets: ['127.0.0.1'],
      all: true,
      identify({ address, port }) {
        identified.push(address);
        return Promise.resolve(`${address} ${port}`);
      },
    });
    for (const socket of [asked, ...sockets]) socket.close();
    assert.deepEqual(
      ['127.0.0.1', '127.0.0.2'].map((address) => identified.filter((one) => one === address).length),
      [MAX_AT_ADDRESS, 1],
    );
    assert.equal(found.length, identified.length);
  });
});

describe('discover() on a busy host', onLinux, () => {
  /** Another process, which answers at two addresses, at each so many milliseconds after it was first asked there. */
  const answerLate = async (first: number, second: number, answered = ''): Promise<number> => {
    const script = `
      const { createSocket } = require('node:dgram');
      const { writeFileSync } = require('node:fs');
      const told = ${JSON.stringify(answered)};
      let port = 0;
      const open = (address, ms, next) => {
        const socket = createSocket('udp4');
        const sent = () => { if (told && address === '127.0.0.2') writeFileSync(told, ''); };
        socket.once('message', (query, from) => setTimeout(() => socket.send('Key Exists\\n', from.port, from.address, sent), ms));
        socket.bind(port, address, () => { port = socket.address().port; next(); });
      };
      open('127.0.0.1', ${first}, () => open('127.0.0.2', ${second}, () => console.log(port)));`;
    const runtime = 'Deno' in globalThis ? ['eval', `--ext=cjs`, script] : ['-e', script];
    const child = spawn(process.execPath, runtime, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return Number(line);
  };

  const both = (port: number): Partial<DiscoverOptions> => ({
    port,
    targets: ['127.0.0.1', '127.0.0.2'],
  });

  it('reads what has arrived when its clock comes late', async () => {
    const answered = path.join(tempDir(), 'answered');
    const port = await answerLate(0, 50, answered);
    // The clock must be late, and the other answer there.
    const onReply = (): void => {
      const [from, until] = [performance.now() + 400, performance.now() + 10_000];
      while (performance.now() < from || (!existsSync(answered) && performance.now() < until));
    };
    await assert.rejects(find({ ...both(port), onReply }), { code: 'ambiguous_broker' });
  });

  it('listens on for longer where the first answer was slow', async () => {
    const port = await answerLate(500, 700);
    await assert.rejects(find(both(port)), { code: 'ambiguous_broker' });
  });
});
