import { readFileSync, writeFileSync } from 'node:fs';
import { cpuSeconds } from '../cpu.ts';

/** What a process costs, or several together. Linux only (proc(5)). */
export interface Cost {
  /** CPU time so far, all threads, kernel time included, in seconds. */
  cpuSeconds(): number;
  /** What it holds in memory now, in bytes. */
  memory(): number;
  /** The most that it has held since {@link Cost.resetPeak}. */
  peak(): number;
  resetPeak(): void;
}

export function costOf(pid: number): Cost {
  const status = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) *
    1024;
  return {
    cpuSeconds: () => cpuSeconds(pid),
    memory: () => status('VmRSS'),
    peak: () => status('VmHWM'),
    resetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
  };
}

/** Of all of them; the peak is the sum of their peaks, which need not be of one moment. */
export function sumOf(costs: readonly Cost[]): Cost {
  const sum = (what: 'cpuSeconds' | 'memory' | 'peak'): number =>
    costs.reduce((total, cost) => total + cost[what](), 0);
  return {
    cpuSeconds: () => sum('cpuSeconds'),
    memory: () => sum('memory'),
    peak: () => sum('peak'),
    resetPeak() {
      for (const cost of costs) cost.resetPeak();
    },
  };
}
