/** Watches while brokers die, are cut off, and etcd's changes are compacted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Random, seeded } from '../../support/network/http-fuzz.ts';
import { waitFor } from '../../support/wait.ts';
import type { RowResult } from '../row.ts';
import { type Change, misread } from '../history/watch-check.ts';
import type { Door } from './brokers.ts';
import { dataIn } from './calls.ts';
import { followChanges } from './changes.ts';
import { cutOff } from './faults.ts';
import { type Fleet, startFleet } from './fleet.ts';
import type { Scene } from './hosts.ts';
import { type Reader, startReader, startWatchCommand } from './readers.ts';

/** A new broker reads so many revisions change by change; a watch that lacks more is reset. */
const BEHIND = 1000;
/** A follower of etcd closes a connection that is silent for about 2 s. */
const CUT_MS = 4000;

interface Compaction {
  readonly revision: number;
  readonly at: number;
}

/** What is common to all of a run. */
interface Run {
  readonly scene: Scene;
  readonly fleet: Fleet;
  readonly random: Random;
  /** What etcd itself tells of every change. */
  readonly changes: Change[];
  readonly compactions: Compaction[];
  readonly deaths: Map<string, number>;
}

export async function watches(scene: Scene, say: (line: string) => void): Promise<RowResult> {
  const random = seeded(scene.seed);
  const fleet = await startFleet(scene);
  const { doors, members } = fleet;
  const run: Run = { scene, fleet, random, changes: [], compactions: [], deaths: new Map() };
  const ending = new AbortController();
  await doors[0]?.call('Replace', { name: 'w/begin', data: { n: 0 } });
  const following = follow(members.endpoints[0] ?? '', run.changes, ending.signal);
  const after = await waitFor('the first change', () => run.changes.at(-1)?.revision);
  const initial = new Map(run.changes.map((change) => [change.name, change]));
  const read = { after, initial, doors, random };
  const readers: Reader[] = [
    startReader({ ...read, scope: { prefix: 'w/' } }),
    startReader({ ...read, scope: { prefix: '' } }),
    startReader({ ...read, scope: { name: 'w/3' } }),
    // Away for a while each time, so that it lacks what has been compacted.
    startReader({ ...read, scope: { prefix: 'w/' }, pauseMs: 5000 }),
    ...doors.map((door) => startReader({ ...read, doors: [door], scope: { prefix: 'w/' } })),
    startWatchCommand(after, 'w/', doors, scene.scratch),
  ];
  const writers = startWriters(doors, random);
  await kill(run, say);
  const written = await writers.stop();
  // None ends behind what is then the last change.
  await waitFor('every lifetime to end', async () => {
    const answer = await doors[0]?.call('List', { limit: 1000 });
    const entries = (answer?.body.data as { entries?: { ttl?: number }[] } | undefined)?.entries;
    return entries?.every(({ ttl }) => ttl === undefined);
  });
  const { body } = await waitFor('a last write', async () => {
    const answer = await doors[0]?.call('Replace', { name: 'w/3', data: { n: -1 } });
    return answer?.status === 200 ? answer : undefined;
  });
  const last = body.revision ?? 0;
  await waitFor('etcd to tell of it', () => (run.changes.at(-1)?.revision ?? 0) >= last);
  const isDone = (reader: Reader): boolean => (reader.told.at(-1)?.revision ?? 0) >= last;
  // A reader that has not received it by then has missed it.
  await waitFor('every reader to receive it', () => readers.every(isDone)).catch(() => undefined);
  const broken = await judge(run, readers);
  ending.abort();
  await following;
  await fleet.close();
  const told = readers.reduce((sum, reader) => sum + reader.told.length, 0);
  const resets = readers.map((reader) => reader.told.filter(({ type }) => type === 'reset').length);
  const reset = resets.reduce((sum, count) => sum + count, 0);
  // A short run on a busy machine may end before a broker gives up its connection.
  if (reset === 0 && !scene.short)
    broken.push('no reader got a reset: nothing that was compacted was lacking');
  const resumed = readers.reduce((sum, reader) => sum + (reader.resumed ?? 0), 0);
  const kinds = [...run.deaths].map(([how, times]) => `${times} ${how}`);
  return {
    figures:
      `${kinds.join(', ')}; ${run.compactions.length} compactions; ${written} writes acknowledged, ${run.changes.length} changes, sent ${told} times to ` +
      `${readers.length} readers, which went on elsewhere ${resumed} times; ${reset} resets; ${broken.length} missed, doubled, out of order or made up`,
    broken,
  };
}

/** Brokers die and come back; now and then etcd's changes are compacted, mostly while a broker cannot see them. */
async function kill(run: Run, say: (line: string) => void): Promise<void> {
  const { scene, fleet, random, compactions, deaths } = run;
  const [times, wanted] = scene.short ? [5, 2] : [50, 20];
  for (let i = 0; i < times; i++) {
    const isCompacting = Math.floor(((i + 1) * wanted) / times) > compactions.length;
    await sleep(50 + random() * 400);
    const victim = Math.floor(random() * 3);
    const door = fleet.doors[victim] as Door;
    const how = await die(door, random);
    deaths.set(how, (deaths.get(how) ?? 0) + 1);
    if (isCompacting && compactions.length % 2 === 0)
      await compactUnseen(run, fleet.doors[(victim + 1) % 3] as Door);
    await sleep(random() * 400);
    if (isCompacting && compactions.length % 2 === 1) await compact(run);
    await door.start(fleet.programs[Math.floor(random() * fleet.programs.length)]);
    if (i % 10 === 9) say(`${i + 1} deaths, ${compactions.length} compactions`);
  }
}

async function die(door: Door, random: Random): Promise<string> {
  const how = random();
  if (how < 0.15) {
    await door.stop();
    return 'brokers ended by SIGTERM';
  }
  if (how < 0.35) {
    // Its clients wait for it meanwhile.
    door.signal('SIGSTOP');
    await sleep(300);
    await door.kill();
    return 'brokers stopped and killed';
  }
  await door.kill();
  return 'brokers killed';
}

/** Removes the changes up to the last one. */
async function compact({ fleet, changes, compactions }: Run): Promise<void> {
  const revision = changes.at(-1)?.revision ?? 0;
  await fleet.members.ask('/v3/kv/compaction', { revision });
  compactions.push({ revision, at: performance.now() });
}

/** The same, while a broker that goes on living is cut off from etcd. */
async function compactUnseen(run: Run, door: Door): Promise<void> {
  const join = await cutOff(door.namespace, 'eth0', 'silent');
  const cut = performance.now();
  const before = run.changes.length;
  await waitFor('changes that it does not see', () => run.changes.length > before + 10);
  await sleep(CUT_MS - (performance.now() - cut));
  await compact(run);
  await join();
}

/** Three that write and remove entries, some of which end by themselves. */
function startWriters(doors: readonly Door[], random: Random): { stop(): Promise<number> } {
  const ending = new AbortController();
  let acknowledged = 0;
  let n = 0;
  const write = async (door: Door): Promise<void> => {
    while (!ending.signal.aborted) {
      const name = `${random() < 0.9 ? 'w' : 'x'}/${Math.floor(random() * 12)}`;
      const how = random();
      const ttl = random() < 0.05 ? 2 : undefined;
      const answer = await (how < 0.2
        ? door.call('Delete', { name }, 3000)
        : door.call(how < 0.6 ? 'Replace' : 'Update', { name, data: { n: ++n }, ttl }, 3000));
      if (answer.status === 200) acknowledged++;
      else await sleep(50);
      await sleep(10 + random() * 40);
    }
  };
  const writing = Promise.all(doors.map((door) => write(door)));
  return {
    async stop() {
      ending.abort();
      await writing;
      return acknowledged;
    },
  };
}

async function follow(url: string, changes: Change[], signal: AbortSignal): Promise<void> {
  try {
    for await (const change of followChanges(url, 1, signal)) {
      const { data } = change;
      changes.push(data === undefined ? change : { ...change, data: dataIn(data) });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function judge({ fleet, changes, compactions }: Run, readers: readonly Reader[]): Promise<string[]> {
  const broken: string[] = [];
  const { status, body } = (await fleet.doors[1]?.call('List', { limit: 1000 })) ?? { status: 0, body: {} };
  if (status !== 200) broken.push(`the entries cannot be read at the end: ${status}`);
  const listed = (body.data as { entries: { name: string; revision: number; data: unknown }[] }).entries;
  for (const reader of readers) {
    await reader.stop();
    const { what, after, told, covers, listsAfterReset, resumed } = reader;
    const isExcused = (position: number, revision: number): boolean =>
      revision - position > BEHIND ||
      compactions.some(
        (compacted) => compacted.revision > revision - BEHIND - 1 && compacted.revision <= revision,
      );
    const wrong = [
      ...misread({ after, told, covers, listsAfterReset }, changes, isExcused),
      ...reader.broken,
    ];
    const held = reader.entries();
    const expected = new Map(
      listed
        .filter(({ name }) => covers(name))
        .map(({ name, revision, data }) => [name, { revision, data: dataIn(data) }]),
    );
    for (const name of held ? new Set([...held.keys(), ...expected.keys()]) : []) {
      const own = held?.get(name);
      const made = expected.get(name);
      if (
        own?.data === undefined
          ? made !== undefined
          : !isDeepStrictEqual({ revision: own.revision, data: own.data }, made)
      )
        wrong.push(`IT HOLDS ${name} as ${JSON.stringify(own)}, and not ${JSON.stringify(made)}`);
    }
    broken.push(...wrong.slice(0, 10).map((text) => `${what}, resumed ${resumed ?? 'by itself'}: ${text}`));
  }
  return broken;
}
