import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { type Broker, openBroker } from '../../src/broker/broker.ts';
import {
  type LiveConfiguration,
  openLiveConfiguration,
} from '../../src/broker/opening/live-configuration.ts';
import { createBroker } from '../../src/broker/create-broker.ts';
import { defineMethod, defineModule, type Reply } from '../../src/modules/module.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { NOBODY, nobodysDir, otherUserProblem } from '../support/programs/other-user.ts';
import { tempDir } from '../support/temp.ts';

const edit = (file: string, mine: string): void =>
  writeFileSync(file, JSON.stringify({ mine: { text: mine } }));

/** The options of a running broker whose file has been edited. */
async function edited(): Promise<LiveConfiguration> {
  const file = path.join(tempDir(), 'bpbroker.json');
  edit(file, 'before');
  const configuration = await openLiveConfiguration({ file, options: undefined, log: silentLogger });
  edit(file, 'an edit that is longer');
  return configuration;
}

/** Does something while this tree is that of the machine. */
async function withMachineTree(root: string, action: () => Promise<void>): Promise<void> {
  const former = process.env['BPBROKER_HOME'];
  process.env['BPBROKER_HOME'] = root;
  try {
    await action();
  } finally {
    if (former === undefined) delete process.env['BPBROKER_HOME'];
    else process.env['BPBROKER_HOME'] = former;
  }
}

const textOf = (options: unknown): unknown => (options as { mine: { text: string } }).mine.text;

describe('edits of the file', () => {
  it('a rewriting after a refused reload keeps the edit, and the old options stay valid', async () => {
    const configuration = await edited();
    await assert.rejects(
      configuration.reload(() => Promise.reject(new BrokerError('invalid_config', 'a bad certificate'))),
      /a bad certificate/,
    );
    await configuration.edits.keep();
    configuration.edits.check();
    assert.equal(textOf(configuration.written), 'an edit that is longer');
    assert.equal(textOf(configuration.effective), 'before');
  });

  it('a rewriting while a reload is checked keeps the edit', async () => {
    const configuration = await edited();
    await configuration.reload(async () => {
      await configuration.edits.keep();
      configuration.edits.check();
      assert.equal(textOf(configuration.written), 'an edit that is longer');
    });
    assert.equal(textOf(configuration.effective), 'an edit that is longer');
  });
});

describe('an event stream that is open at a reload', () => {
  type Keys = string | readonly string[];
  interface Watching {
    /** The text of the next events; undefined at the end. */
    next(): Promise<string | undefined>;
    cancel(): Promise<void>;
  }

  async function openWith(keys: Keys): Promise<{
    readonly broker: Broker;
    /** Opens a watch, with a key or without one, once it has begun. */
    watch(key?: string): Promise<Watching>;
    reloadWith(keys: Keys): Promise<void>;
  }> {
    const file = path.join(tempDir(), 'bpbroker.json');
    writeFileSync(file, JSON.stringify({ services: { _access_key: keys } }), { mode: 0o600 });
    const broker = await openBroker({ file });
    return {
      broker,
      async watch(key) {
        const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
        const { status, body } = await broker.app.request('/services/Watch', { headers });
        assert.equal(status, 200);
        assert.ok(body);
        const reader = body.getReader();
        const next = async (): Promise<string | undefined> => {
          const { done, value } = await reader.read();
          return done ? undefined : new TextDecoder().decode(value);
        };
        assert.match((await next()) ?? '', /^event: watching/);
        return { next, cancel: () => reader.cancel() };
      },
      async reloadWith(now) {
        const written = JSON.parse(readFileSync(file, 'utf8')) as object;
        writeFileSync(file, JSON.stringify({ ...written, services: { _access_key: now } }));
        await broker.reload();
      },
    };
  }

  it('ends where its key is no longer in the list, and stays where it is', async (t) => {
    const { broker, watch, reloadWith } = await openWith(['old', 'new']);
    t.after(() => broker.close());
    const [old, kept] = [await watch('old'), await watch('new')];
    await reloadWith(['new']);
    assert.equal(await old.next(), undefined);
    await broker.app.request('/services/Replace?name=a&data=x', { headers: { authorization: 'Bearer new' } });
    assert.match((await kept.next()) ?? '', /^event: put/);
    await kept.cancel();
  });

  it('ends where its module asks for a key from then on', async (t) => {
    const { broker, watch, reloadWith } = await openWith('');
    t.after(() => broker.close());
    const open = await watch();
    await reloadWith('');
    await broker.app.request('/services/Replace?name=a&data=x');
    assert.match((await open.next()) ?? '', /^event: put/);
    await reloadWith(['new']);
    assert.equal(await open.next(), undefined);
  });

  it('is refused where the reload came while its module worked on it', async (t) => {
    const file = path.join(tempDir(), 'bpbroker.json');
    const withKeys = (keys: Keys): void =>
      writeFileSync(file, JSON.stringify({ own: { _access_key: keys } }), { mode: 0o600 });
    withKeys(['old', 'new']);
    let answer: (reply: Reply) => void = () => assert.fail('it was not called');
    let ended = 0;
    const events = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => undefined),
        async return() {
          ended++;
          return { done: true, value: undefined } as const;
        },
      }),
    };
    const run = (): Promise<Reply> => new Promise((resolve) => (answer = resolve));
    const own = defineModule({ Events: defineMethod({ params: v.looseObject({}), run }) });
    const broker = await openBroker({ file, modules: { own } });
    t.after(() => broker.close());
    const asked = broker.app.request('/own/Events', { headers: { authorization: 'Bearer old' } });
    await new Promise(setImmediate);
    withKeys(['new']);
    await broker.reload();
    answer({ body: events, contentType: 'text/event-stream' });
    assert.equal((await asked).status, 401);
    assert.equal(ended, 1);
  });
});

describe('a global file that this user may no longer read', { skip: otherUserProblem }, () => {
  it('has a reload refused, because the keys in it would go unnoticed', async () => {
    const dir = nobodysDir();
    const [file, globalFile] = ['mine.json', 'machine/etc/bpbroker.json'].map((name) => path.join(dir, name));
    assert.ok(file && globalFile);
    mkdirSync(path.dirname(globalFile), { recursive: true });
    writeFileSync(globalFile, '{"services": {"_access_key": "k"}}');
    await withMachineTree(path.join(dir, 'machine'), async () => {
      process.seteuid?.(NOBODY);
      const configuration = await openLiveConfiguration({ file, options: undefined, log: silentLogger });
      process.seteuid?.(0);
      chmodSync(path.dirname(globalFile), 0o700);
      process.seteuid?.(NOBODY);
      await assert.rejects(
        configuration.reload(() => Promise.resolve()),
        /Cannot go on with other options than at the start: .*machine\/etc\/bpbroker\.json do not apply: permission/,
      );
      assert.equal(configuration.effective['services']?.['_access_key'], 'k');
    }).finally(() => process.seteuid?.(0));
  });
});

describe('the global file', () => {
  it('has no part in a broker that a program embeds, which keeps none of its keys', async () => {
    const dir = tempDir();
    const machine = path.join(dir, 'machine');
    mkdirSync(path.join(machine, 'etc'), { recursive: true });
    const options = { services: { _access_key: 'k' }, discover: { _access_key: 'd'.repeat(64) }, mine: {} };
    writeFileSync(path.join(machine, 'etc', 'bpbroker.json'), JSON.stringify(options));
    await withMachineTree(machine, async () => {
      const broker = await createBroker({ dir: path.join(dir, 'own'), config: { other: {} } });
      await broker.reload();
      const { services, discover, mine, other } = broker.config;
      assert.deepEqual(
        { services, discover, mine, other },
        { services: {}, discover: {}, mine: undefined, other: {} },
      );
      await broker.close();
    });
    const kept = JSON.parse(readFileSync(path.join(dir, 'own', 'bpbroker.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    assert.deepEqual([kept['services'], kept['discover'], kept['mine']], [{}, {}, undefined]);
  });
});
