/**
 * Histories of concurrent calls, checked for linearizability. Every change has a revision of its own, which
 * is the order that the broker claims. The check is that this order fits the beginnings and ends of the
 * calls, and what reads saw.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, start, started } from '../broker.ts';
import { executable } from '../programs.ts';
import type { Row, RowSetup } from '../row.ts';
import { configIn, newFolder } from '../sweep/sweep-places.ts';

interface Call {
  readonly kind: 'create' | 'put' | 'delete' | 'get';
  readonly name: string;
  /** What it writes; no two are the same. */
  readonly value: number;
  readonly began: number;
  /** Infinity: no answer came, so it may take effect at any time. */
  ended: number;
  /** Of the change, or of the entry that was read; 0: there was none. */
  revision?: number;
  /** What a read saw. */
  seen?: number;
  /** A create that found an entry, or a change that found none. */
  refused?: boolean;
}

async function makeCall(broker: Broker, name: string, value: number, random: () => number): Promise<Call> {
  const pick = random();
  const kind = pick < 0.45 ? 'get' : pick < 0.7 ? 'put' : pick < 0.9 ? 'create' : 'delete';
  const call: Call = { kind, name, value, began: performance.now(), ended: Infinity };
  const methods = { get: 'Get', put: 'Replace', create: 'Register', delete: 'Delete' };
  const { status, body } = await broker.call(methods[kind], {
    name,
    ...(kind === 'put' || kind === 'create' ? { data: { n: value } } : {}),
  });
  // 503: the outcome is not known.
  if (status === 0 || status === 503) return call;
  call.ended = performance.now();
  if (status === 200) {
    if (body.revision !== undefined) call.revision = body.revision;
    if (kind === 'get') call.seen = (body.data as { n: number }).n;
  } else {
    call.refused = true;
  }
  return call;
}

/** What no order of the calls of a history explains. */
export function violations(history: readonly Call[]): string[] {
  const found: string[] = [];
  const say = (what: string, call: Call): unknown => found.push(`${what}: ${JSON.stringify(call)}`);
  // A change without an answer gets its revision from a reader of its value.
  for (const read of history) {
    if (read.seen === undefined) continue;
    const writer = history.find(
      (call) => call.value === read.seen && (call.kind === 'put' || call.kind === 'create'),
    );
    if (writer === undefined || writer.refused) say('a value that nobody wrote', read);
    else if (writer.revision === undefined && read.revision !== undefined) writer.revision = read.revision;
    else if (writer.revision !== read.revision) say('two revisions of one value', read);
  }
  const calls = history.map((call) =>
    deletesNothing(call, history) ? { ...call, kind: 'get' as const } : call,
  );
  for (const name of new Set(calls.map((call) => call.name)))
    checkName(
      calls.filter((call) => call.name === name),
      say,
    );
  return found;
}

/** A deletion of what is not there is answered with the registry's revision, which is another change's: it is a read. */
function deletesNothing(call: Call, history: readonly Call[]): boolean {
  if (call.kind !== 'delete' || call.revision === undefined) return false;
  return history.some(
    (other) =>
      other !== call && other.revision === call.revision && (other.kind === 'put' || other.kind === 'create'),
  );
}

function checkName(calls: readonly Call[], say: (what: string, call: Call) => unknown): void {
  const changes = calls
    .filter((call) => call.kind !== 'get' && !call.refused && call.revision !== undefined)
    .toSorted((a, b) => (a.revision ?? 0) - (b.revision ?? 0));
  changes.forEach((later, i) => {
    const before = changes[i - 1];
    if (before && before.revision === later.revision && later.kind !== 'delete')
      say('a revision given twice', later);
    if (
      changes
        .slice(0, i)
        .some((earlier) => earlier.revision !== later.revision && later.ended < earlier.began)
    )
      say('an order against time', later);
  });
  for (const read of calls) {
    if (read.kind !== 'get' || read.ended === Infinity) continue;
    const settled = changes.findLast((change) => change.ended < read.began);
    if (read.seen !== undefined) {
      if (settled && (settled.revision ?? 0) > (read.revision ?? 0))
        say('a read of what was replaced before', read);
      const writer = changes.find((change) => change.revision === read.revision);
      if (writer && writer.began > read.ended) say('a read of what was not written yet', read);
      const older = calls.some(
        (other) =>
          other.seen !== undefined &&
          other.ended < read.began &&
          (other.revision ?? 0) > (read.revision ?? 0),
      );
      if (older) say('a read behind an earlier read', read);
    } else if (settled && settled.kind !== 'delete') {
      // Nothing was seen, so something removed it meanwhile; one whose outcome is unknown may have.
      const removed = calls.some(
        (change) =>
          change.kind === 'delete' &&
          !change.refused &&
          change.began < read.ended &&
          (change.revision === undefined || change.revision > (settled.revision ?? 0)),
      );
      if (!removed) say('a read that missed what is stored', read);
    }
  }
}

export const histories: Row = {
  name: 'histories',
  shows: '11 (file driver)',
  what: 'histories of concurrent Register, Replace, Delete and Get, some cut by `kill -9`, checked for linearizability',
  bound: { short: 60, long: 600 },
  skip: () => false,
  async run(setup: RowSetup) {
    const count = setup.short ? 20 : 500;
    const file = configIn(newFolder(path.join(setup.scratch, 'broker')));
    let broker = await started(executable.command, file);
    const broken: string[] = [];
    let calls = 0;
    let kills = 0;
    for (let n = 0; n < count; n++) {
      const history: Call[] = [];
      let value = 0;
      const client = async (present: Broker, times: number): Promise<void> => {
        for (let i = 0; i < times && !present.isOver(); i++) {
          const name = `h${n}-${Math.floor(setup.random() * 2)}`;
          history.push(await makeCall(present, name, ++value, setup.random));
        }
      };
      const running = Promise.all(Array.from({ length: 6 }, async () => await client(broker, 15)));
      if (n % 5 === 4) {
        kills++;
        await sleep(setup.random() * 30);
        await broker.kill();
        await running;
        const again = await start(executable.command, file);
        if ('refused' in again) return { figures: `${n} histories`, broken: [`NO START: ${again.refused}`] };
        broker = again;
        await Promise.all(Array.from({ length: 3 }, async () => await client(again, 5)));
      } else await running;
      calls += history.length;
      broken.push(...violations(history).map((text) => `history ${n}: ${text}`));
    }
    await broker.stop();
    return {
      figures: `${count} histories of ${calls} calls, ${kills} cut by a kill, ${broken.length} violations`,
      broken,
    };
  },
};
