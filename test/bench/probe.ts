import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import path from 'node:path';
import { tool } from '../../build/root.ts';
import type { Sample } from './probe-process.ts';

/** Questions that go on beside what is measured. */
export interface Probe {
  readonly pid: number;
  /** Ends it. Returns what it found. */
  end(): Promise<Answers>;
}

/** How long answers took. */
export interface Answers {
  /** The p99 of questions asked between two times, in milliseconds; times are Unix milliseconds. */
  p99(from: number, to: number): number;
  /** How many were asked then and answered. */
  count(from: number, to: number): number;
}

const PRIORITY = -10;

/**
 * Starts to ask a broker the same question each millisecond, in a process of its own. That process comes first on the machine, where this
 * one may say so (as root): what is measured is how long the broker takes.
 */
export async function startProbe(port: number, url: string, question: object): Promise<Probe> {
  const script = path.join(import.meta.dirname, 'probe-process.ts');
  const args = [String(port), url, JSON.stringify(question)];
  const child = fork(script, args, { execPath: tool('bun'), execArgv: [] });
  const ended = once(child, 'exit');
  const first = await Promise.race([once(child, 'message'), ended]);
  if (first[0] !== 'ready') throw new Error(`The probe of port ${port} ended with ${String(first[0])}`);
  if (process.getuid?.() === 0) setPriority(child.pid ?? 0, PRIORITY);
  return {
    pid: child.pid ?? 0,
    async end() {
      const told = once(child, 'message');
      child.send('end');
      const [samples] = (await told) as [readonly Sample[]];
      await ended;
      return answersOf(samples);
    },
  };
}

function answersOf(samples: readonly Sample[]): Answers {
  const between = (from: number, to: number): number[] =>
    samples
      .filter(([at]) => at >= from && at <= to)
      .map(([, ms]) => ms)
      .toSorted((a, b) => a - b);
  return {
    p99(from, to) {
      const sorted = between(from, to);
      return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
    },
    count: (from, to) => between(from, to).length,
  };
}
