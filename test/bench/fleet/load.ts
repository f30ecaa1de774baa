import { bootstrapOf, discoveryOf, type FleetOptions, floorOf, type Outcome } from './phases.ts';
import { releaseOf } from './release.ts';
import { watchersOf } from './etcd/watchers.ts';

export type PhaseName = 'discovery' | 'bootstrap' | 'release' | 'watchers' | 'floor';

const phases: Readonly<Record<PhaseName, (options: FleetOptions) => Promise<Outcome>>> = {
  discovery: discoveryOf,
  bootstrap: bootstrapOf,
  release: releaseOf,
  watchers: watchersOf,
  floor: floorOf,
};

/**
 * A process that is the whole fleet: it receives a phase, runs it, and reports the results and its own cost.
 */
async function run({
  phase,
  options,
}: {
  readonly phase: PhaseName;
  readonly options: FleetOptions;
}): Promise<void> {
  const before = process.cpuUsage();
  const outcome = await phases[phase](options);
  const { user, system } = process.cpuUsage(before);
  process.send?.({ outcome, cpuSeconds: (user + system) / 1e6 }, () => process.exit(0));
}

process.once('message', (message) => void run(message as Parameters<typeof run>[0]));
