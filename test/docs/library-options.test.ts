import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { createApp } from '../../src/api/create-app.ts';
import { createBroker } from '../../src/broker/create-broker.ts';
import { connect } from '../../src/client/client.ts';
import { discover } from '../../src/client/discover.ts';
import { etcdStore } from '../../src/store/etcd/etcd-store.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

/** docs/library.md has the options that each function takes: a function names them all when it gets one that is unknown. */

const page = readFileSync(path.join(root, 'docs', 'library.md'), 'utf8');
const unknown = { zzzzzzzzzzzzzzzz: 1 } as object;

const functions: Readonly<Record<string, () => unknown>> = {
  connect: () => connect(unknown as Parameters<typeof connect>[0]),
  discover: () => discover(unknown),
  createBroker: () => createBroker(unknown as Parameters<typeof createBroker>[0]),
  createApp: () => createApp(unknown as Parameters<typeof createApp>[0]),
  memoryStore: () => memoryStore(unknown),
  etcdStore: () => etcdStore(unknown as Parameters<typeof etcdStore>[0]),
  Locks: async () => {
    const app = createApp({ store: memoryStore() });
    const client = await connect({ broker: 'https://broker.test', fetch: (request) => app.fetch(request) });
    return client.lock('migrate', unknown);
  },
};

async function optionsOf(call: () => unknown): Promise<string[]> {
  const error: unknown = await Promise.resolve()
    .then(call)
    .catch((thrown: unknown) => thrown);
  assert.ok(error instanceof Error);
  const [, names = ''] = /is unknown; there are (.*)$/.exec(error.message) ?? [];
  assert.ok(names !== '', error.message);
  return names.split(', ');
}

/** What is below a heading of a function, its parts included. */
function sectionOf(title: string): string {
  const [, level, text] = new RegExp(String.raw`^(##+) ${title}\n([^]*)`, 'm').exec(page) ?? [];
  assert.ok(level !== undefined && text !== undefined, title);
  return text.split(new RegExp(`^#{2,${level.length}} `, 'm'))[0] ?? '';
}

/** The names in the first column of the tables of options. */
function tabled(section: string): string[] {
  const tables = section.match(/^\| option .*\n(?:\|.*\n)+/gm) ?? [];
  return tables.flatMap((table) =>
    table
      .split('\n')
      .slice(2)
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name)),
  );
}

describe('docs/library.md', () => {
  for (const [title, call] of Object.entries(functions))
    it(`has every option of ${title}, and no other`, async () => {
      const options = await optionsOf(call);
      const section = sectionOf(title);
      assert.deepEqual(
        options.filter((name) => !section.includes(`\`${name}\``)),
        [],
      );
      assert.deepEqual(
        tabled(section).filter((name) => !options.includes(name)),
        [],
      );
    });
});
