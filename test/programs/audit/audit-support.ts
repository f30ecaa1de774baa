import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { post } from '../../support/network/https.ts';
import {
  type Launcher,
  type RunningBroker,
  startBroker,
  type StartOptions,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import type { TrailLine } from '../../support/registry/trail.ts';
import { reference } from '../support.ts';

/** Of all modules of the broker. */
export const KEY: string = randomBytes(32).toString('hex');
/** What the trail calls a key that nobody can guess. */
export const nameOf = (key: string): string =>
  `sha256:${createHash('sha256').update(key).digest('hex').slice(0, 8)}`;
export const unix: string | false =
  process.platform === 'win32' ? 'needs addresses of loopback, signals and a shell' : false;
export const noMount: string | false =
  process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs Linux and root';

/** With the trail switched on. */
export const config = (audit: object): Record<string, object> => ({
  services: { _access_key: KEY },
  tool: { _access_key: KEY },
  _audit: { to: 'file', ...audit },
});

/** A broker with a trail. */
export interface Day {
  readonly broker: RunningBroker;
  readonly trail: string;
}

/** Starts one, whose extension `tool` answers every method; in a folder that has one already, that one goes on. */
export async function begin(
  audit: object = {},
  options: StartOptions = {},
  launcher: Launcher = reference,
): Promise<Day> {
  const dir = options.dir ?? tempDir();
  writeExtensions(dir, { tool: '#!/bin/sh\necho done\n' });
  const isNew = !existsSync(path.join(dir, 'bpbroker.json'));
  const broker = await startBroker(launcher, { ...(isNew && { config: config(audit) }), ...options, dir });
  return { broker, trail: path.join(dir, 'bpbroker.audit.jsonl') };
}

/** The body of an answer. */
export function get({ port }: RunningBroker, at: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path: at, rejectUnauthorized: false, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.once('end', () => resolve(text));
      },
    );
    sent.once('error', reject).end();
  });
}

export const ready = (broker: RunningBroker): Promise<string> => get(broker, '/readyz');

/** A call with a key, from an address of loopback; its status, or 0 where the broker went away. */
export async function call(
  { port }: RunningBroker,
  at: string,
  body: object,
  { key = KEY, from = '127.0.0.1' }: { key?: string; from?: string } = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { authorization: `Bearer ${key}` };
  try {
    const answer = await post({ port, path: at, body, headers, from });
    const isJson = answer.contentType.includes('json');
    return {
      status: answer.status,
      body: isJson ? (JSON.parse(answer.body) as Record<string, unknown>) : {},
    };
  } catch {
    return { status: 0, body: {} };
  }
}

export const replace = (broker: RunningBroker, name: string, from?: string): ReturnType<typeof call> =>
  call(broker, '/services/Replace', { name, data: 'x' }, from === undefined ? {} : { from });

/** Those of the changes, in the order of the lines. */
export const revisions = (lines: readonly TrailLine[]): number[] =>
  lines
    .filter(({ event, outcome }) => event === 'write' && outcome === 'ok')
    .map(({ revision = 0 }) => revision);

export const ascending = (numbers: readonly number[]): boolean =>
  numbers.every((number, i) => i === 0 || number > (numbers[i - 1] ?? 0));
