import { readFileSync } from 'node:fs';

/** What one run of a load found. */
export interface Measurement {
  readonly requestsPerSecond: number;
  /** CPU time of the server for one request, in microseconds, all of its threads together. */
  readonly cpuMicros: number;
  /** Answers with another status than 2xx, and broken connections. */
  readonly errors: number;
  /** 99 of 100 requests took at most so long, in milliseconds; absent where the client does not tell. */
  readonly p99Ms?: number;
}

/** User and system time of a process so far (proc(5), `stat`); the clock tick of Linux is 10 ms. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
