/**
 * What etcd itself has kept of every change, against what the brokers' clients received: another witness than
 * the brokers' reads.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Call, Data } from '../history/linearizable.ts';
import { dataIn } from './calls.ts';

/** One change of an entry. */
export interface Change {
  readonly name: string;
  readonly revision: number;
  /** Nothing: it was removed. */
  readonly data?: unknown;
}

const ENTRIES = '/bpbroker/e/';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Message {
  readonly result?: {
    readonly compact_revision?: string;
    readonly events?: readonly {
      readonly type?: string;
      readonly kv: { readonly key: string; readonly value?: string; readonly mod_revision: string };
    }[];
  };
}

/** Follows the changes of all entries from a revision on, in etcd, until `signal` ends it; throws where some have been compacted. */
export async function* followChanges(url: string, from: number, signal: AbortSignal): AsyncGenerator<Change> {
  const range = { key: base64(ENTRIES), range_end: base64('/bpbroker/e0') };
  const body = JSON.stringify({ create_request: { ...range, start_revision: from } });
  const answer = await fetch(`${url}/v3/watch`, { method: 'POST', body, signal });
  if (!answer.ok || !answer.body) throw new Error(`etcd answers ${answer.status} to a watch`);
  let text = '';
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.filter(Boolean)) {
      const { result } = JSON.parse(line) as Message;
      if (result?.compact_revision) throw new Error(`compacted up to ${result.compact_revision}`);
      for (const { type, kv } of result?.events ?? []) {
        const name = Buffer.from(kv.key, 'base64').toString().slice(ENTRIES.length);
        const revision = Number(kv.mod_revision);
        yield type === 'DELETE' ? { name, revision } : { name, revision, data: entryIn(kv.value ?? '') };
      }
    }
  }
}

function entryIn(value: string): unknown {
  return (JSON.parse(Buffer.from(value, 'base64').toString()) as { entry: unknown }).entry;
}

/** All changes up to the entry `last`, which has been written after them. */
export async function changesUpTo(url: string, last: string): Promise<Change[]> {
  const changes: Change[] = [];
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(60_000)]);
  for await (const change of followChanges(url, 1, signal)) {
    changes.push(change);
    if (change.name === last) break;
  }
  ending.abort();
  return changes;
}

/** What is in etcd and in no call, or the other way round: writes that were lost, done twice, or done and called undone. */
export function compareChanges(changes: readonly Change[], calls: readonly Call[]): string[] {
  const broken: string[] = [];
  const byRevision = new Map<string, Change>();
  for (const change of changes) byRevision.set(`${change.name} ${change.revision}`, change);
  const writes = new Map<string, Call>();
  for (const call of calls) {
    const { kind, name, answer, data } = call;
    if (data) writes.set(`${name} ${data.n}`, call);
    if (answer.is !== 'done' || kind === 'delete') continue;
    const change = byRevision.get(`${name} ${answer.revision}`);
    if (change?.data === undefined || !isDeepStrictEqual(dataIn(change.data), answer.data))
      broken.push(`LOST: ${JSON.stringify(call)}: etcd has ${JSON.stringify(change)}`);
  }
  const done = new Set<string>();
  for (const change of changes) {
    if (change.data === undefined || !/^h\d+\//.test(change.name)) continue;
    const key = `${change.name} ${(change.data as Data).n}`;
    const is = writes.get(key)?.answer.is;
    if (done.has(key)) broken.push(`TWICE: ${JSON.stringify(change)}`);
    done.add(key);
    // A write that was never answered may not be among the calls: a connection that did not come about is left out, and wrote nothing.
    if (is !== 'done' && is !== 'unknown')
      broken.push(`MADE UP: ${JSON.stringify(change)}: the call was answered '${is ?? 'nothing'}'`);
  }
  return broken;
}
