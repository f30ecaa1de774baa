import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { launchers } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { gaps, readTrail, trailFiles } from '../../support/registry/trail.ts';
import { waitFor } from '../../support/wait.ts';
import {
  ascending,
  begin,
  call,
  config,
  type Day,
  get,
  KEY,
  nameOf,
  ready,
  replace,
  revisions,
  unix,
} from './audit-support.ts';
import { reference, skipOf } from '../support.ts';

/** What callers saw of a day: what the trail must have. */
interface Seen {
  readonly source: string;
  readonly event: string;
  readonly outcome: string;
  readonly entry?: string;
  readonly revision?: number;
}

const keyOf = ({ source, event, outcome, entry, revision }: Partial<Seen>): string =>
  JSON.stringify([source, event, outcome, entry, revision]);

/** What one source does, with all that it was answered; it ends when the broker does. */
async function live({ broker }: Day, from: string, rounds: number, seen: Seen[]): Promise<void> {
  const wrong = randomBytes(32).toString('hex');
  for (let round = 0; round < rounds; round++) {
    const entry = `${from}/${round}`;
    const write = await replace(broker, entry, from);
    if (write.status === 200)
      seen.push({
        source: from,
        event: 'write',
        outcome: 'ok',
        entry,
        revision: Number(write.body['revision']),
      });
    if (round % 5 === 1) {
      const again = await call(broker, '/services/Register', { name: entry, data: 'x' }, { from });
      if (again.status === 409) seen.push({ source: from, event: 'write', outcome: 'already_exists', entry });
      const ran = await call(broker, '/tool/Run', {}, { from });
      if (ran.status === 200) seen.push({ source: from, event: 'execution', outcome: 'ok' });
    }
    if (round % 10 === 5) {
      const refused = await call(broker, '/services/Get', { name: entry }, { from, key: wrong });
      if (refused.status === 401)
        seen.push({ source: from, event: 'refusal', outcome: 'access_denied', entry });
    }
    if (write.status === 0) return;
  }
}

describe('row "audit": the trail of a broker', { skip: unix }, () => {
  for (const launcher of launchers) {
    it(
      `of a day of three sources is complete and in order after a kill -9 in the midst of it, on ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const dir = tempDir();
        const seen: Seen[] = [];
        const sources = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
        const first = await begin({}, { dir }, launcher);
        const lives = sources.map((from) => live(first, from, 1000, seen));
        await waitFor('half of the day', () => seen.length >= 75);
        await first.broker.kill();
        await Promise.all(lives);
        const seenBefore = seen.length;
        const before = readTrail(first.trail);
        const second = await begin({}, { dir }, launcher);
        await Promise.all(sources.map((from) => live(second, from, 20, seen)));
        assert.ok(seen.length >= seenBefore + 75, String(seen.length));
        await second.broker.stop();
        const lines = readTrail(first.trail);
        assert.deepEqual(lines.slice(0, before.length), before, 'nothing of it has changed');
        assert.deepEqual(gaps(lines), []);
        assert.equal(lines[0]?.seq, 1);
        assert.deepEqual(
          lines.filter(({ event }) => event === 'start' || event === 'stop').map(({ event }) => event),
          ['start', 'start', 'stop'],
        );
        assert.ok(ascending(revisions(lines)), 'writes are in the order of their revisions');
        const has = new Map<string, number>();
        for (const line of lines) has.set(keyOf(line), (has.get(keyOf(line)) ?? 0) + 1);
        for (const one of seen) {
          const count = has.get(keyOf(one)) ?? 0;
          assert.ok(count > 0, `${keyOf(one)} is not in the trail`);
          has.set(keyOf(one), count - 1);
        }
        const keys = new Set(lines.filter(({ event }) => event === 'write').map(({ key }) => key));
        assert.deepEqual([...keys], [nameOf(KEY)]);
        assert.doesNotMatch(readFileSync(first.trail, 'utf8'), new RegExp(KEY));
        for (const { call: number, event, outcome } of lines.slice(before.length))
          if (event === 'execution' && outcome === 'begun')
            assert.ok(lines.some((line) => line.call === number && line.outcome === 'ok'));
      },
    );
  }

  for (const launcher of launchers) {
    it(
      `says of a call whose caller did not wait for its end that he has gone, on ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const dir = tempDir();
        const go = JSON.stringify(path.join(dir, 'go'));
        writeExtensions(dir, {
          'slow.sh': `#!/bin/sh\nuntil [ -e ${go} ]; do sleep 0.1; done\nsleep 0.5\necho late\n`,
          'late.js': `import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
export async function Run() { while (!existsSync(${go})) await sleep(100); await sleep(500); return 'late'; }
`,
        });
        const { broker, trail } = await begin(
          {},
          { dir, config: { slow: {}, late: {}, _audit: { to: 'file' } } },
          launcher,
        );
        const modules = ['slow', 'late'];
        for (const module of modules) {
          const { code } = await broker.client(['execute', '--method', `${module}.Run`, '--timeout', '4s']);
          assert.equal(code, 9);
        }
        writeFileSync(path.join(dir, 'go'), '');
        const ends = (): unknown[] =>
          readTrail(trail)
            .filter(({ event, outcome }) => event === 'execution' && outcome !== 'begun')
            .map(({ outcome, status: code }) => [outcome, code]);
        const gone = ['gone', 200];
        await waitFor('both calls to end', () => ends().length === 2);
        assert.deepEqual(ends(), [gone, gone]);
        const status = JSON.parse(await get(broker, '/status')) as {
          modules: { calls: { outcome: string }[] }[];
        };
        assert.deepEqual(
          status.modules.map(({ calls }) => calls.map(({ outcome }) => outcome)),
          [['gone'], ['gone']],
        );
        await broker.stop();
      },
    );
  }

  it('has a wrong key by the start of its hash, and never the key; a flood of them is counted', async () => {
    const { broker, trail } = await begin();
    const wrong = randomBytes(32).toString('hex');
    for (let i = 0; i < 80; i++)
      await call(broker, '/services/Get', { name: 'a' }, { key: wrong, from: '127.0.0.2' });
    assert.equal((await replace(broker, 'a')).status, 200, 'others are not held up');
    await broker.stop();
    const lines = readTrail(trail).filter(({ source }) => source === '127.0.0.2');
    const denied = lines.filter(({ outcome }) => outcome === 'access_denied');
    assert.equal(denied.length, 10);
    for (const { key } of denied) assert.equal(key, nameOf(wrong));
    const limited = lines.filter(({ outcome }) => outcome === 'too_many_requests');
    assert.ok(limited.length >= 40 && limited.length <= 70, String(limited.length));
    assert.ok(
      limited.every(({ key }) => key === undefined),
      'its key is not looked at',
    );
    const counted = lines.filter(({ event }) => event === 'refusals');
    const sum = counted.reduce((all, { count = 0 }) => all + count, 0);
    assert.equal(denied.length + limited.length + sum, 80);
    assert.doesNotMatch(readFileSync(trail, 'utf8') + broker.stderr(), new RegExp(wrong));
  });

  it('keeps its order and its numbers across files that are put aside and restarts', async () => {
    const dir = tempDir();
    let trail = '';
    for (let run = 0; run < 3; run++) {
      const day = await begin({ max_bytes: 8192, keep: 100 }, { dir });
      ({ trail } = day);
      await Promise.all(
        Array.from({ length: 50 }, (_, i) => replace(day.broker, `${run}/${i}/${'n'.repeat(100)}`)),
      );
      await (run === 1 ? day.broker.kill() : day.broker.stop());
    }
    const files = trailFiles(trail);
    assert.ok(files.length >= 4, String(files.length));
    for (const file of files) {
      assert.ok(statSync(file).size <= 8192);
      assert.equal(statSync(file).mode & 0o777, 0o600);
    }
    const lines = readTrail(trail);
    assert.deepEqual(gaps(lines), []);
    assert.equal(revisions(lines).length, 150);
    assert.ok(ascending(revisions(lines)));
  });

  it('has data where the configuration asks for it alone', async () => {
    for (const data of [false, true]) {
      const { broker, trail } = await begin({ data });
      await call(broker, '/services/Replace', { name: 'a', data: { word: 'swordfish' } });
      await call(broker, '/tool/Run', { word: 'swordfish' });
      await call(broker, '/services/Replace', { name: 'b', data: 'x'.repeat(100_000) });
      await broker.stop();
      const text = readFileSync(trail, 'utf8');
      assert.equal(text.split('swordfish').length - 1, data ? 2 : 0);
      assert.equal(
        readTrail(trail).find(({ entry }) => entry === 'b')?.data_length,
        data ? 100_002 : undefined,
      );
      assert.doesNotMatch(text, new RegExp(KEY));
    }
  });

  it('is switched on, changed and opened anew by a reload', async () => {
    const dir = tempDir();
    const { broker, trail } = await begin({}, { dir, config: { services: {} } });
    const reload = async (change: (options: Record<string, unknown>) => void): Promise<void> => {
      const options = JSON.parse(readFileSync(broker.configFile, 'utf8')) as Record<string, unknown>;
      change(options);
      writeFileSync(`${broker.configFile}~`, JSON.stringify(options), { mode: 0o600 });
      renameSync(`${broker.configFile}~`, broker.configFile);
      const said = 'the options were taken over anew';
      const count = broker.stderr().split(said).length;
      process.kill(broker.pid, 'SIGHUP');
      await waitFor('the reload', () => broker.stderr().split(said).length > count);
    };
    await replace(broker, 'before');
    assert.deepEqual(trailFiles(trail), []);
    await reload((options) => (options['_audit'] = { to: 'file' }));
    await replace(broker, 'a');
    renameSync(trail, `${trail}.1`);
    await reload(() => undefined);
    await replace(broker, 'b');
    await reload((options) => delete options['_audit']);
    await replace(broker, 'after');
    await broker.stop();
    const told = (file: string): unknown[] =>
      readTrail(file).map(({ seq, event, entry }) => [seq, entry ?? event]);
    assert.deepEqual(told(`${trail}.1`), [
      [1, 'start'],
      [2, 'a'],
    ]);
    assert.deepEqual(told(trail), [
      [3, 'reload'],
      [4, 'b'],
      [5, 'stop'],
    ]);
  });

  it('goes to the log where the configuration says so, at whatever level that is', async () => {
    const { broker } = await begin(
      {},
      {
        config: { ...config({}), _audit: { to: 'log' } },
        args: ['--log-format', 'json', '--log-level', 'error'],
      },
    );
    await replace(broker, 'a\u001b[2J');
    await replace(broker, 'a', '127.0.0.2');
    await broker.stop();
    const lines = broker
      .stderr()
      .split('\n')
      .filter((line) => line.includes('"message":"audit"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      lines.map(({ seq, event, outcome, entry, source }) => [seq, event, outcome, entry, source]),
      [
        [1, 'start', undefined, undefined, undefined],
        [2, 'write', 'invalid_request', 'a\u001b[2J', '127.0.0.1'],
        [3, 'write', 'ok', 'a', '127.0.0.2'],
        [4, 'stop', undefined, undefined, undefined],
      ],
    );
    assert.ok(!broker.stderr().includes('\u001b'));
  });

  it('has what an extension writes in the name of its caller, and what its program writes with its own key', async () => {
    const dir = tempDir();
    const { broker, trail } = await begin({}, { dir, config: { ...config({}), script: {}, shell: {} } });
    writeExtensions(dir, {
      'script.ts':
        "export async function Set({ registry }) { await registry.replace('by-script', 'x'); return 'ok'; }\n",
      shell: `#!/bin/sh\n${reference.bpclient.join(' ')} service replace --name by-shell --data x\n`,
    });
    assert.equal((await call(broker, '/script/Set', {}, { from: '127.0.0.3' })).status, 200);
    assert.equal((await call(broker, '/shell/Set', {}, { from: '127.0.0.3' })).status, 200);
    await broker.stop();
    const writes = readTrail(trail).filter(({ event }) => event === 'write');
    assert.deepEqual(
      writes.map(({ source, entry, via, key }) => [source, entry, via, key]),
      [
        ['127.0.0.3', 'by-script', 'script.Set', undefined],
        ['127.0.0.1', 'by-shell', undefined, 'extension'],
      ],
    );
  });

  it('with a symbolic link in its place stays unwritten, which is said; writes go on', async () => {
    const dir = tempDir();
    const target = path.join(dir, 'elsewhere');
    writeFileSync(target, 'precious\n');
    execFileSync('ln', ['-s', target, path.join(dir, 'bpbroker.audit.jsonl')]);
    const { broker } = await begin({}, { dir });
    assert.equal((await replace(broker, 'a')).status, 200);
    assert.match(await ready(broker), /bpbroker\.audit\.jsonl cannot be written: it is a symbolic link/);
    await broker.stop();
    assert.equal(readFileSync(target, 'utf8'), 'precious\n');
  });
});
