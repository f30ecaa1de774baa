import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { ClientEntry } from '../../../src/client/registry/answers.ts';
import type { BrokerClient } from '../../../src/client/client.ts';
import { type RunningBroker, type RunResult } from '../../support/programs/programs.ts';
import { bpbroker, connectTo } from '../support.ts';

/** The complete backups in a folder, in order. */
export function backupsIn(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => /^bpbroker-\d{8}T\d{9}Z-r\d{16}\.json$/.test(name))
    .toSorted()
    .map((name) => path.join(dir, name));
}

export const revisionOf = (backup: string): number => Number(/-r(\d{16})\.json$/.exec(backup)?.[1]);

/** Every change that was acknowledged, by its revision; an entry that was deleted has none. */
export type Ledger = Map<number, { name: string; entry?: Stored }>;
export type Stored = Pick<ClientEntry, 'name' | 'data' | 'revision' | 'lastWriteTs' | 'lastWriteIp'>;

export const stored = ({ name, data, revision, lastWriteTs, lastWriteIp }: ClientEntry): Stored => ({
  name,
  data,
  revision,
  lastWriteTs,
  lastWriteIp,
});

/**
 * Writes until told to stop, with several writers and one that deletes. A deletion's answer does not tell its revision;
 * since one client alone deletes, the revisions that no write has are its deletions, in order.
 */
export async function writeSteadily(broker: RunningBroker, until: () => Promise<unknown>): Promise<Ledger> {
  const ledger: Ledger = new Map();
  const deleted: string[] = [];
  const load = { going: true };
  const writer = async (client: BrokerClient, w: number): Promise<void> => {
    for (let n = 1; load.going; n++) {
      const data = n % 3 === 0 ? `text ${n}` : { n, w, pad: 'ü'.repeat(n % 200) };
      const entry = stored(await client.replace(`w${w}/${n % 40}`, data));
      ledger.set(entry.revision, { name: entry.name, entry });
    }
  };
  const deleter = async (client: BrokerClient): Promise<void> => {
    for (let n = 1; load.going; n++) {
      const entry = stored(await client.replace(`d/${n % 7}`, `${n}`));
      ledger.set(entry.revision, { name: entry.name, entry });
      await client.delete(`d/${n % 7}`);
      deleted.push(`d/${n % 7}`);
    }
  };
  const clients = await Promise.all([1, 2, 3, 4].map(() => connectTo(broker)));
  const writing = clients.map((client, w) => (w === 0 ? deleter(client) : writer(client, w)));
  await until();
  load.going = false;
  await Promise.all(writing);
  for (const client of clients) client.close();
  const last = ledger.size + deleted.length;
  for (let revision = 1; revision <= last; revision++) {
    if (!ledger.has(revision)) ledger.set(revision, { name: deleted.shift() ?? '?' });
  }
  assert.equal(deleted.length, 0);
  return ledger;
}

/** The entries at a revision, by their names. */
export function entriesAt(ledger: Ledger, revision: number): Stored[] {
  const state = new Map<string, Stored>();
  for (let at = 1; at <= revision; at++) {
    const { name, entry } = ledger.get(at) ?? assert.fail(`no record of revision ${at}`);
    if (entry) state.set(name, entry);
    else state.delete(name);
  }
  return [...state.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export function restore(dir: string, from: string): Promise<RunResult> {
  return bpbroker(dir, ['restore', '--config', path.join(dir, 'bpbroker.json'), '--from', from]);
}

export function backUp(dir: string): Promise<RunResult> {
  return bpbroker(dir, ['backup', '--config', path.join(dir, 'bpbroker.json')]);
}
