import { type FleetOptions, type PhaseName, phases } from './phases.ts';

/** A process that is the whole fleet: it is told a phase, runs it, and says what came of it and what it cost itself. */
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
