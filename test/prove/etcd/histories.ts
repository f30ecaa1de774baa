/** Histories of concurrent calls through three brokers over three members, while members and brokers fail. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, seeded } from '../../support/network/http-fuzz.ts';
import { type Call, type Data, violations } from '../history/linearizable.ts';
import { createPlanting } from '../history/planted.ts';
import type { RowResult } from '../row.ts';
import { dataIn, type History, readAtEnd, startHistory } from './calls.ts';
import { changesUpTo, compareChanges } from './changes.ts';
import {
  brokerFault,
  type Fault,
  type Fleet,
  loseQuorum,
  memberFault,
  startFleet,
  untilWhole,
  untilWritable,
} from './fleet.ts';
import type { Scene } from './hosts.ts';

/** Histories that run at once, under the same faults. */
const AT_ONCE = 2;
/** Every so many rounds two members are gone at once. */
const QUORUM_EVERY = 5;
/** The longest that writes may take to be taken again once there is a majority. */
const RECOVERY_MS = 10_000;
/** On a busy machine a short run tells the figure, and fails only where nothing comes back. */
const PATIENCE_MS = 30_000;
/** What had been agreed on before two members were gone may be answered so much later. */
const UNDER_WAY_MS = 250;

interface Figures {
  readonly faults: Map<string, number>;
  readonly recoveries: number[];
  readonly returns: number[];
  refusedWithout: number;
}

export async function histories(scene: Scene, say: (line: string) => void): Promise<RowResult> {
  const random = seeded(scene.seed);
  const rounds = scene.short ? 5 : 200 / AT_ONCE;
  const fleet = await startFleet(scene);
  const broken: string[] = [];
  const all: History[] = [];
  const planting = createPlanting();
  const figures: Figures = { faults: new Map(), recoveries: [], returns: [], refusedWithout: 0 };
  let violated = 0;
  for (let round = 0; round < rounds && broken.length < 20; round++) {
    const begun = Array.from({ length: AT_ONCE }, (_, i) =>
      startHistory({ n: round * AT_ONCE + i, doors: fleet.doors, random }),
    );
    await sleep(50 + random() * 250);
    const isQuorum = round % QUORUM_EVERY === QUORUM_EVERY - 2;
    broken.push(...(await (isQuorum ? withoutQuorum : withFaults)(scene, fleet, begun, random, figures)));
    await sleep(300 + random() * 300);
    await Promise.all(begun.map((history) => history.stop()));
    await untilWhole(fleet);
    for (const history of begun) {
      for (const door of fleet.doors) await readAtEnd(history, door);
      const found = violations(history.calls);
      violated += found.length;
      broken.push(...found, ...history.broken);
      if (found.length === 0) planting.tryIn(history.calls);
    }
    all.push(...begun);
    if (round % 10 === 9) say(`${all.length} histories, ${broken.length} broken`);
  }
  broken.push(...planting.missed(!scene.short));
  const again = await readWholly(fleet, all);
  violated += again.length;
  broken.push(...again);
  const calls = all.flatMap((history) => history.calls);
  await untilWritable(fleet, PATIENCE_MS);
  const [url = ''] = fleet.members.endpoints;
  await fleet.doors[0]?.call('Replace', { name: 'last', data: 'x' });
  const changes = await changesUpTo(url, 'last');
  const lost = compareChanges(changes, calls);
  broken.push(...lost);
  await fleet.close();
  return {
    figures: tell(fleet, figures, {
      calls,
      changes: changes.length,
      histories: all.length,
      violated,
      lost: lost.length,
      planted: planting.found,
    }),
    broken,
  };
}

/** One fault, or one of a member and one of a broker, for a while. */
async function withFaults(
  { short }: Scene,
  fleet: Fleet,
  _: readonly History[],
  random: Random,
  { faults, recoveries }: Figures,
): Promise<string[]> {
  const both = random() < 0.3;
  const befallen: Fault[] = [];
  if (both || random() < 0.55) {
    // Every other time the leader, as far as one is known.
    const leader = random() < 0.5 ? await fleet.members.leader() : -1;
    befallen.push(await memberFault(fleet, leader < 0 ? Math.floor(random() * 3) : leader, random));
  }
  if (both || befallen.length === 0) befallen.push(await brokerFault(fleet, random));
  count(faults, befallen);
  await sleep(300 + random() * (short ? 1200 : 2500));
  await Promise.all(befallen.map((fault) => fault.heal()));
  recoveries.push(await untilWritable(fleet, PATIENCE_MS));
  return [];
}

/** Two members gone: nothing is answered but that it cannot be said; and all goes on soon after their return. */
async function withoutQuorum(
  { short }: Scene,
  fleet: Fleet,
  begun: readonly History[],
  random: Random,
  figures: Figures,
): Promise<string[]> {
  const fault = await loseQuorum(fleet, random);
  count(figures.faults, [fault]);
  const from = performance.now() + UNDER_WAY_MS;
  await sleep(2000 + random() * (short ? 1000 : 4000));
  // Asked beside the clients, whose calls may all be waiting.
  const asked = await Promise.all(
    fleet.doors.map(async (door, i) => await door.call('Replace', { name: `probe/${i}`, data: 'x' }, 20_000)),
  );
  const refused = asked.filter(({ status }) => status === 503);
  figures.refusedWithout += refused.length;
  const to = performance.now();
  await fault.heal();
  const took = await untilWritable(fleet, short ? PATIENCE_MS : RECOVERY_MS).catch(() => Infinity);
  figures.returns.push(took);
  const wrong = begun
    .flatMap((history) => history.calls)
    .filter(({ began, ended, answer }) => began > from && ended < to && answer.is !== 'undone');
  return [
    ...wrong.map((call) => `FALSE, ${fault.what}: ${JSON.stringify(call)}`),
    ...asked
      .filter(({ status }) => status !== 503)
      .map(({ status, body }) => `${fault.what}: a write was answered ${status} ${body.message ?? ''}`),
    ...(took === Infinity
      ? [`${fault.what}: writes were not taken within ${RECOVERY_MS} ms of the return`]
      : []),
  ];
}

/** Reads every entry once more, at the end of all, and looks at each history with that. */
async function readWholly({ doors }: Fleet, all: readonly History[]): Promise<string[]> {
  const [door] = doors;
  const found = new Map<string, { revision: number; data: Data }>();
  const began = performance.now();
  for (let after: string | undefined; ;) {
    const { status, body } = (await door?.call('List', { prefix: 'h', after })) ?? { status: 0, body: {} };
    if (status !== 200) return [`the entries cannot be read at the end: ${status} ${body.message ?? ''}`];
    const page = body.data as {
      entries: { name: string; revision: number; data: unknown }[];
      next?: string;
    };
    for (const { name, revision, data } of page.entries) found.set(name, { revision, data: dataIn(data) });
    if (page.next === undefined) break;
    after = page.next;
  }
  const ended = performance.now();
  for (const { names, calls } of all)
    for (const name of names) {
      const entry = found.get(name);
      const answer: Call['answer'] = entry ? { is: 'done', ...entry } : { is: 'absent' };
      calls.push({ kind: 'get', name, began, ended, answer });
    }
  return all.flatMap(({ calls }) => violations(calls)).map((text) => `AT THE END: ${text}`);
}

function count(faults: Map<string, number>, befallen: readonly Fault[]): void {
  for (const { what } of befallen) faults.set(what, (faults.get(what) ?? 0) + 1);
}

/** The longest of some times. */
const seconds = (times: readonly number[]): string => (Math.max(0, ...times) / 1000).toFixed(1);

function tell(
  { programs }: Fleet,
  { faults, recoveries, returns, refusedWithout }: Figures,
  sums: {
    readonly calls: readonly Call[];
    readonly changes: number;
    readonly histories: number;
    readonly violated: number;
    readonly lost: number;
    readonly planted: number;
  },
): string {
  const { calls } = sums;
  const of = (is: Call['answer']['is']): number => calls.filter(({ answer }) => answer.is === is).length;
  const writes = calls.filter(({ kind, answer }) => kind !== 'get' && answer.is === 'done').length;
  const kinds = [...faults].map(([what, times]) => `${times} ${what}`);
  return (
    `${sums.histories} histories of ${calls.length} calls (brokers: ${programs.map(({ name }) => name).join(', ')}), ${writes} writes acknowledged, ` +
    `${of('refused')} refused, ${of('undone')} undone, ${of('unknown')} without an answer that says what became of them; ${sums.violated} violations, ` +
    `${sums.lost} lost, doubled or made up among ${sums.changes} changes that etcd has kept; ${sums.planted} of 9 kinds of planted violations found; ` +
    `faults: ${kinds.join(', ')}; writes taken again by every broker at most ${seconds(recoveries)} s after a fault; ` +
    `without a majority (${returns.length} times) ${refusedWithout} writes of ${3 * returns.length} refused with 503, taken again at most ${seconds(returns)} s after its return`
  );
}
