import type { BrokerConnection } from '../../../client/connection/connection.ts';
import { withTimeout } from '../../../client/connection/time-limit.ts';
import { isObject, type Json, type JsonObject } from '../../../protocol/formats/data.ts';
import { formatDuration } from '../../../protocol/formats/duration.ts';
import { messageOf } from '../../../protocol/errors.ts';
import type { Host } from '../host/host.ts';
import { type Cause, type Check, type Problem, sentence } from '../report.ts';
import { shellWord } from '../../../protocol/formats/shell-word.ts';
import path from 'node:path';

/**
 * Smaller differences show nothing: the header has whole seconds, and the answer needs time to arrive. In
 * milliseconds.
 */
const CLOCK_NOTE_MS = 5000;
/** From this difference on, stamps of one clock mislead readers with the other. In milliseconds. */
const CLOCK_WRONG_MS = 60_000;

/** Asks the broker for its health (`/readyz`, which needs no key) and its time. */
export async function examineHealth(connection: BrokerConnection, host: Host, ms: number): Promise<Check[]> {
  const limit = withTimeout(ms);
  const asked = Date.now();
  const began = performance.now();
  try {
    const { signal } = limit;
    const response = await connection.request({ method: 'GET', path: '/readyz', headers: {}, signal });
    const tookMs = performance.now() - began;
    const clock = judgeClock(response.header('date'), asked + tookMs / 2, asked);
    return [judgeHealth(response.status, await response.text(), connection.place, host), clock];
  } catch (error) {
    const says = limit.timedOut() ? 'no answer in time' : messageOf(error);
    const problem: Problem = {
      cause: 'broker_unwell',
      message: sentence(
        `The broker at ${connection.place} accepts connections, but does not report its health: ${says}`,
      ),
      advice: 'Look at its log; restart it if it hangs.',
      where: 'broker',
    };
    return [
      { id: 'health', status: 'fail', says, problem },
      { id: 'clock', status: 'skip', says: 'the broker did not say its time' },
    ];
  } finally {
    limit.release();
  }
}

/** @param here the time of this host when the broker wrote the header, Unix time in milliseconds. */
export function judgeClock(header: string | undefined, here: number, now: number): Check {
  const there = header === undefined ? Number.NaN : Date.parse(header);
  if (Number.isNaN(there)) return { id: 'clock', status: 'skip', says: 'the broker does not say its time' };
  // The header has whole seconds, without the fraction.
  const offset = there + 500 - here;
  const facts = { offset_ms: Math.round(offset), here: iso(now), broker: iso(there) };
  const size = formatDuration(Math.abs(offset));
  const way = offset > 0 ? 'ahead of' : 'behind';
  if (Math.abs(offset) < CLOCK_NOTE_MS)
    return { id: 'clock', status: 'ok', says: "as the broker's, within seconds", facts };
  const says = `the broker's is ${size} ${way} this host's`;
  if (Math.abs(offset) < CLOCK_WRONG_MS) return { id: 'clock', status: 'warn', says, facts };
  return {
    id: 'clock',
    status: 'fail',
    says,
    facts,
    problem: {
      cause: 'clock_off',
      message: `The clocks differ: the broker's is ${size} ${way} this host's. Here it is ${iso(now)}, there ${iso(there)}.`,
      advice: 'Set the one that is wrong, best by NTP. To see which one it is, on both hosts:',
      where: 'here',
      command: process.platform === 'win32' ? 'w32tm /query /status' : 'date -u',
    },
  };
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The checks and warnings in the answer of `/readyz`, in any known form. */
export function judgeHealth(status: number, text: string, place: string, host: Host): Check {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    said = undefined;
  }
  if (!isObject(said))
    return { id: 'health', status: 'skip', says: `it does not report its health (HTTP status ${status})` };
  const checks = isObject(said['checks']) ? said['checks'] : {};
  const failed: string[] = [];
  const warnings: string[] = [];
  for (const [name, finding] of Object.entries(checks)) {
    if (!isObject(finding)) continue;
    const { ok, reason, warning } = finding;
    if (ok === false) failed.push(`${name}: ${messageOf(reason ?? 'not ok')}`);
    if (typeof warning === 'string') warnings.push(`${name}: ${messageOf(warning)}`);
  }
  for (const one of listOf(said['warnings']))
    if (!warnings.some((told) => told.endsWith(one))) warnings.push(one);
  const facts = { status, readyz: said };
  const full = warnings.find((warning) => /\b0 B are free\b/.test(warning));
  if (said['ready'] === false || failed.length > 0 || full !== undefined) {
    const reasons = failed.length > 0 ? failed : [full ?? 'it is not ready'];
    const says = reasons.join('; ');
    return { id: 'health', status: 'fail', says, facts, problem: unwell(says, place, host) };
  }
  if (warnings.length > 0) return { id: 'health', status: 'warn', says: warnings.join('; '), facts };
  return { id: 'health', status: 'ok', says: 'ready', facts };
}

/** Texts of a list, whose members may be objects with a text. */
function listOf(list: Json | undefined): string[] {
  if (!Array.isArray(list)) return [];
  return (list as readonly Json[]).flatMap((one) => {
    const text = isObject(one) ? textIn(one) : one;
    return typeof text === 'string' ? messageOf(text) : [];
  });
}

function textIn(one: JsonObject): Json | undefined {
  return one['message'] ?? one['text'] ?? one['warning'] ?? one['reason'];
}

function unwell(says: string, place: string, { file, isRunning }: Host): Problem {
  const cause = causeIn(says);
  const isHere = isRunning === true && file !== undefined;
  const base = { cause, where: isHere ? 'here' : 'broker' } as const;
  if (cause === 'disk_full')
    return {
      ...base,
      message: sentence(`The disk of the broker at ${place} is full, so it refuses writes: ${says}`),
      advice: `Make room on its disk; it then accepts writes again. What is used there:`,
      command: isHere ? `df -h ${shellWord(path.dirname(file))}` : 'df -h',
    };
  if (cause === 'read_only')
    return {
      ...base,
      message: sentence(`The broker at ${place} is read-only: ${says}`),
      advice: 'Repair its disk, then restart it; reads go on meanwhile.',
    };
  if (/\bno majority of the etcd cluster\b/.test(says))
    return {
      ...base,
      message: sentence(`The broker at ${place} is not ready: ${says}`),
      advice:
        "Look at the members of the etcd cluster, which _store.endpoints in the broker's configuration names. More than half of them must run, and reach each other.",
    };
  return {
    ...base,
    message: sentence(`The broker at ${place} is not ready: ${says}`),
    advice: 'Look at its log, and correct the problem that it names.',
  };
}

/** The cause, by the words of the answer, of this version and of others. */
function causeIn(says: string): Cause {
  if (/no room on the disk|no space left|ENOSPC|EDQUOT|\b0 B are free\b/i.test(says)) return 'disk_full';
  if (/read-only|EROFS/i.test(says)) return 'read_only';
  return 'broker_unwell';
}
