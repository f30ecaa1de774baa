/** Rows about a broker that runs on and on: memory and descriptors, watches that resume, its size. */
import { readdirSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../support/wait.ts';
import { type Broker, start, started } from '../broker.ts';
import { newLedger, startWriters } from '../history/ledger.ts';
import { executable } from '../programs.ts';
import { rssMiB } from '../proc.ts';
import type { Row } from '../row.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export const soak: Row = {
  name: 'soak',
  shows: '15',
  what: 'writes and reads for 20 minutes by 4 writers that pause as long as they work: memory and descriptors',
  bound: { short: 60, long: 1500 },
  runsBeside: true,
  skip: () => process.platform !== 'linux' && 'needs /proc',
  async run(setup) {
    const totalMs = setup.short ? 12_000 : 20 * 60_000;
    const dir = newFolder(path.join(setup.scratch, 'broker'));
    const broker = await started(executable.command, configIn(dir));
    const pid = broker.child.pid ?? 0;
    const ledger = newLedger();
    const load = { writers: 4, namesEach: 250, bytes: 1000, pauseMs: 2, random: setup.random };
    const writers = startWriters(broker, ledger, load);
    const samples: { rss: number; files: number }[] = [];
    const began = performance.now();
    while (performance.now() - began < totalMs) {
      await sleep(totalMs / 120);
      await broker.call('Get', { name: 'w0-0' });
      samples.push({ rss: rssMiB(pid), files: readdirSync(`/proc/${pid}/fd`).length });
    }
    const broken: string[] = [...ledger.broken];
    await writers.stop();
    const end = await broker.stop();
    if (end.code !== 0) broken.push(`it ended with ${end.signal ?? end.code}`);
    // The history kept for watches and the heap find their size in the first half.
    const quarter = Math.floor(samples.length / 4);
    const of = (from: number): { rss: number; files: number } => {
      const part = samples.slice(from * quarter, (from + 1) * quarter);
      return { rss: median(part.map(({ rss }) => rss)), files: median(part.map(({ files }) => files)) };
    };
    const [before, after] = [of(2), of(3)];
    const growth = (after.rss / before.rss - 1) * 100;
    if (!setup.short && growth >= 5) broken.push(`memory grew by ${growth.toFixed(1)} %`);
    if (after.files > before.files) broken.push(`descriptors grew from ${before.files} to ${after.files}`);
    return {
      figures: `${(totalMs / 60_000).toFixed(1)} minutes, ${ledger.acknowledged} writes, memory ${before.rss.toFixed(0)} to ${after.rss.toFixed(0)} MiB (${growth.toFixed(1)} %) from the third quarter to the last, descriptors ${before.files} to ${after.files}`,
      broken,
    };
  },
};

/** Reads a watch from behind a revision until it breaks; returns each event's type and revision. */
function readWatch(
  port: number,
  after: number,
  onEvent: (type: string, revision: number) => void,
): { sent: ClientRequest; over: Promise<void> } {
  let sent!: ClientRequest;
  const over = new Promise<void>((resolve) => {
    sent = request(
      {
        host: '127.0.0.1',
        port,
        path: '/services/Watch',
        method: 'POST',
        rejectUnauthorized: false,
        agent: false,
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          const blocks = text.split('\n\n');
          text = blocks.pop() ?? '';
          for (const block of blocks) {
            const type = /^event: ?(.*)$/m.exec(block)?.[1];
            const id = /^id: ?(\d+)$/m.exec(block)?.[1];
            if (type !== undefined && id !== undefined) onEvent(type, Number(id));
          }
        });
        response.once('error', () => resolve());
        response.once('close', () => resolve());
      },
    );
    sent.once('error', () => resolve());
    sent.end(JSON.stringify({ after }));
  });
  return { sent, over };
}

export const watch: Row = {
  name: 'watch',
  shows: '13',
  what: 'a watch resumed across 100 broken connections, kills and restarts of the broker, under 4 writers',
  bound: { short: 60, long: 300 },
  skip: () => false,
  async run(setup) {
    const breaks = setup.short ? 12 : 100;
    const dir = newFolder(path.join(setup.scratch, 'broker'));
    const file = configIn(dir);
    let broker: Broker = await started(executable.command, file);
    const ledger = newLedger();
    const load = { writers: 4, namesEach: 5, bytes: 300, random: setup.random };
    let writers = startWriters(broker, ledger, load);
    let seen = 0;
    let events = 0;
    let restarts = 0;
    const broken: string[] = [];
    const onEvent = (type: string, revision: number): void => {
      if (type === 'watching') return;
      events++;
      if (type === 'reset') broken.push(`a reset at ${revision}, after ${seen}`);
      else if (revision !== seen + 1 && broken.length < 20)
        broken.push(`revision ${revision} came after ${seen}`);
      seen = revision;
    };
    for (let n = 0; n < breaks; n++) {
      const reading = readWatch(broker.port, seen, onEvent);
      await sleep(30 + setup.random() * 150);
      const how = setup.random();
      if (how < 0.6) {
        reading.sent.destroy();
        await reading.over;
        continue;
      }
      restarts++;
      writers.halt();
      await (how < 0.8 ? broker.kill() : broker.stop());
      await reading.over;
      await writers.stop();
      const again = await start(executable.command, file);
      if ('refused' in again)
        return { figures: `${n} breaks`, broken: [...broken, `NO START: ${again.refused}`] };
      broker = again;
      writers = startWriters(broker, ledger, load);
    }
    await writers.stop();
    const { body } = await broker.call('List', { limit: 1 });
    const last = body.revision ?? 0;
    const reading = readWatch(broker.port, seen, onEvent);
    const read = await waitFor('the last change', () => seen >= last).catch(() => false);
    reading.sent.destroy();
    if (!read || seen !== last) broken.push(`the watch ended at ${seen}, the registry is at ${last}`);
    await broker.stop();
    return {
      figures: `${breaks} breaks, ${restarts} of them restarts, ${events} events, ${broken.length} missed, doubled or out of order`,
      broken: [...broken, ...ledger.broken],
    };
  },
};
