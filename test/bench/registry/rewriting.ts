import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProbe } from '../probe.ts';
import { dataOf, load, nameOf, say, type Started } from './server.ts';

/** The first gets have the broker compile its code. */
const WARM_MS = 3000;
const QUIET_MS = 10_000;
const LONGEST_MS = 300_000;
const BIG = 'x'.repeat(1_000_000);
/** Writes of small entries in a second, in the second of the two rewritings. */
const WRITES = 200;

/** How long gets take while the whole file is written anew, without writes meanwhile and with some. */
export async function getsWhileRewriting(file: string, broker: Started): Promise<void> {
  await rewriting(file, broker, 0);
  await rewriting(file, broker, WRITES);
}

async function rewriting(file: string, broker: Started, writes: number): Promise<void> {
  const probe = await startProbe(broker.port, '/services/Get', { name: nameOf(1) });
  const slow = new AbortController();
  const writing = writeSlowly(file, broker, writes, slow.signal);
  await sleep(WARM_MS);
  const quiet = Date.now();
  await sleep(QUIET_MS);
  const isWriting = (): boolean =>
    readdirSync(path.dirname(file)).some((name) => name.startsWith(`${path.basename(file)}.tmp-`));
  // The file is due once its journal is longer than the file is.
  const writesDue = Math.ceil((statSync(file).size * 1.1) / BIG.length);
  const filling = load(
    file,
    broker,
    (client) => client.replace('big', BIG),
    (done) => done >= writesDue || isWriting(),
    2,
  );
  await until(isWriting);
  await filling;
  await sleep(200);
  const from = Date.now();
  await until(() => !isWriting());
  const to = Date.now();
  slow.abort();
  await writing;
  const gets = await probe.end();
  const [rest, during] = [gets.p99(quiet, quiet + QUIET_MS), gets.p99(from, to)];
  say(
    `gets while the file is rewritten, ${writes} writes/s`,
    `p99 ${during.toFixed(2)} ms, ${(during / rest).toFixed(2)} of that at rest (${rest.toFixed(2)} ms); ` +
      `${((to - from) / 1000).toFixed(1)} s, ${gets.count(from, to)} gets`,
  );
}

async function writeSlowly(
  file: string,
  broker: Started,
  perSecond: number,
  signal: AbortSignal,
): Promise<void> {
  if (perSecond === 0) return;
  const connections = 64;
  await load(
    file,
    broker,
    async (client, i) => {
      await client.replace(`slow/${i % connections}`, dataOf(i));
      await sleep((1000 * connections) / perSecond);
    },
    () => signal.aborted,
  );
}

async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + LONGEST_MS;
  while (!isSo()) {
    if (performance.now() > end)
      throw new Error(`No rewriting of the file began, or ended, within ${LONGEST_MS} ms`);
    await sleep(5);
  }
}
