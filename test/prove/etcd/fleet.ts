/** The cluster and its brokers, and what befalls them. */
import type { Random } from '../../support/network/http-fuzz.ts';
import { waitFor } from '../../support/wait.ts';
import { everyProgram, executable, node24, type Program } from '../programs.ts';
import { createDoor, type Door } from './brokers.ts';
import { cutOff, cuts } from './faults.ts';
import type { Scene } from './hosts.ts';
import { type Members, startMembers } from './members.ts';

export interface Fleet {
  readonly members: Members;
  readonly doors: readonly Door[];
  readonly programs: readonly Program[];
  close(): Promise<void>;
}

/** Something that has befallen a host. */
export interface Fault {
  /** Its kind, such as `broker killed`. */
  readonly what: string;
  /** Ends it. */
  heal(): Promise<void>;
}

export async function startFleet(scene: Scene): Promise<Fleet> {
  const programs = scene.short ? [executable, node24] : everyProgram();
  const members = await startMembers(scene);
  const doors = [0, 1, 2].map((i) =>
    createDoor(i, scene, members.endpoints, programs[i % programs.length] ?? executable),
  );
  await Promise.all(doors.map((door) => door.start()));
  return {
    members,
    doors,
    programs,
    async close() {
      await Promise.all(doors.map((door) => door.kill()));
      await members.close();
    },
  };
}

const pick = <T>(random: Random, all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;

/** A member is killed, stopped, or cut off from the others and all brokers. */
export async function memberFault({ members }: Fleet, place: number, random: Random): Promise<Fault> {
  const member = members.all[place] as (typeof members.all)[number];
  const how = random();
  if (how < 0.35) {
    await member.kill();
    return { what: 'member killed', heal: () => Promise.resolve(member.start()) };
  }
  if (how < 0.65) {
    member.signal('SIGSTOP');
    return { what: 'member stopped', heal: () => Promise.resolve(member.signal('SIGCONT')) };
  }
  const cut = pick(random, cuts);
  return { what: `member ${cut}`, heal: await cutOff(member.namespace, 'eth0', cut) };
}

/** A broker is killed, ended, stopped, or cut off from etcd or from its clients. */
export async function brokerFault({ doors, programs }: Fleet, random: Random): Promise<Fault> {
  const door = pick(random, doors);
  const how = random();
  if (how < 0.4) {
    await (how < 0.3 ? door.kill() : door.stop());
    const program = pick(random, programs);
    return { what: how < 0.3 ? 'broker killed' : 'broker ended', heal: () => door.start(program) };
  }
  if (how < 0.6) {
    door.signal('SIGSTOP');
    return { what: 'broker stopped', heal: () => Promise.resolve(door.signal('SIGCONT')) };
  }
  const cut = pick(random, cuts);
  const [device, side] = random() < 0.75 ? ['eth0', 'of etcd'] : ['eth1', 'of its clients'];
  return { what: `broker ${cut} on the side ${side}`, heal: await cutOff(door.namespace, device, cut) };
}

/** Two members are gone at once: killed, stopped or cut off. */
export async function loseQuorum({ members }: Fleet, random: Random): Promise<Fault> {
  const left = Math.floor(random() * 3);
  const gone = members.all.filter((_, i) => i !== left);
  const how = pick(random, ['killed', 'stopped', ...cuts] as const);
  const heals = await Promise.all(
    gone.map(async (member): Promise<Fault['heal']> => {
      if (how === 'killed') {
        await member.kill();
        return () => Promise.resolve(member.start());
      }
      if (how === 'stopped') {
        member.signal('SIGSTOP');
        return () => Promise.resolve(member.signal('SIGCONT'));
      }
      return await cutOff(member.namespace, 'eth0', how);
    }),
  );
  return {
    what: `two members ${how}`,
    async heal() {
      await Promise.all(heals.map((heal) => heal()));
    },
  };
}

/** Writes through every broker until each has taken one; returns the milliseconds until the last had. */
export async function untilWritable({ doors }: Fleet, boundMs: number): Promise<number> {
  const began = performance.now();
  await Promise.all(
    doors.map(
      async (door, i) =>
        await waitFor(
          `broker ${i} to take a write`,
          async () => (await door.call('Replace', { name: `probe/${i}`, data: 'x' }, 2000)).status === 200,
          boundMs,
        ),
    ),
  );
  return performance.now() - began;
}

/** Waits until each member knows a leader. */
export async function untilWhole({ members }: Fleet): Promise<void> {
  for (const { url } of members.all)
    await waitFor(`${url} to be a member again`, async () => {
      const init = { method: 'POST', body: '{}', signal: AbortSignal.timeout(1000) };
      const answer = await fetch(`${url}/v3/maintenance/status`, init);
      return ((await answer.json()) as { leader?: string }).leader !== undefined;
    });
}
