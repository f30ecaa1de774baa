import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readExposition, valueOf } from '../../support/registry/exposition.ts';
import { launchers, type RunningBroker } from '../../support/programs/programs.ts';
import { unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { gaps, readTrail } from '../../support/registry/trail.ts';
import { waitFor } from '../../support/wait.ts';
import { begin, call, config, type Day, get, noMount, ready, replace, unix } from './audit-support.ts';
import { skipOf } from '../support.ts';

describe('an audit trail that another broker writes', { skip: unix }, () => {
  for (const launcher of launchers) {
    it(
      `is refused at the start and at a reload, and taken once it is free: ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const { broker, trail } = await begin({}, {}, launcher);
        const taken = new RegExp(
          `Another broker \\(pid ${broker.pid}\\) writes the audit trail ${trail}: give each a file of its own, '_audit\\.file'`,
        );
        await assert.rejects(begin({ file: trail }, {}, launcher), taken);

        const other = await begin({}, {}, launcher);
        const edited = { ...config({ file: trail }), api: { listen_port: 0 } };
        writeFileSync(other.broker.configFile, JSON.stringify(edited));
        process.kill(other.broker.pid, 'SIGHUP');
        await waitFor('the refusal', () => taken.test(other.broker.stderr()));
        await replace(other.broker, 'still/its/own');
        const entries = (at: string): (string | undefined)[] => readTrail(at).map(({ entry }) => entry);
        assert.ok(entries(other.trail).includes('still/its/own'));
        assert.ok(!entries(trail).includes('still/its/own'));

        // However it ended.
        await broker.kill();
        process.kill(other.broker.pid, 'SIGHUP');
        await waitFor('the reload', () => /options were taken over anew/.test(other.broker.stderr()));
        await replace(other.broker, 'now/here');
        assert.ok(entries(trail).includes('now/here'));
        // What it has left is free.
        const third = await begin({ file: other.trail }, {}, launcher);
        await third.broker.stop();
        await other.broker.stop();
        assert.ok(!existsSync(`${trail}.lock`));
      },
    );
  }
});

describe('an audit trail on a disk that is full', { skip: unix || noMount }, () => {
  /** A broker whose trail is on a disk of its own, and what fills and frees that. */
  async function onSmallDisk(
    audit: object,
    work: (day: Day, disk: { fill(): void; free(): void }) => Promise<void>,
  ): Promise<void> {
    const place = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', place]);
    try {
      const trail = path.join(place, 'trail.jsonl');
      const filler = path.join(place, 'filler');
      const day = await begin({ file: trail, ...audit });
      await work(
        { ...day, trail },
        {
          fill() {
            // As much as there is: the last piece is as small as a line.
            execFileSync('sh', ['-c', `dd if=/dev/zero of='${filler}' bs=4096 2>/dev/null; true`]);
          },
          free: () => rmSync(filler),
        },
      );
      await day.broker.stop();
    } finally {
      unmount(place);
    }
  }

  /** Writes until the trail has no room: what was written has lines until then. */
  async function untilFull(broker: RunningBroker): Promise<number> {
    for (let i = 0; i < 200; i++) {
      const { status } = await replace(broker, `full/${i}/${'n'.repeat(200)}`);
      if (status !== 200) return status;
      if (/cannot be written/.test(broker.stderr())) return status;
    }
    throw new Error('the disk is not full');
  }

  it('lets writes go on, warns in /readyz and /metrics, and has all lines once there is room', async () => {
    await onSmallDisk({}, async ({ broker, trail }, { fill, free }) => {
      await replace(broker, 'a');
      fill();
      assert.equal(await untilFull(broker), 200);
      for (let i = 0; i < 5; i++) assert.equal((await replace(broker, `b${i}`)).status, 200);
      const readiness = await ready(broker);
      assert.match(readiness, /"ready":true/);
      assert.match(
        readiness,
        /"id":"audit","message":"the audit trail .*trail\.jsonl cannot be written: no space left/,
      );
      const samples = readExposition(await get(broker, '/metrics'));
      assert.equal(valueOf(samples, 'bpbroker_warning', { id: 'audit' }), 1);
      assert.equal(valueOf(samples, 'bpbroker_audit_lines_lost_total'), 0);
      free();
      await waitFor('the trail', () => /the audit trail is written again/.test(broker.stderr()));
      assert.doesNotMatch(await ready(broker), /"id":"audit"/);
      await replace(broker, 'after');
      const lines = readTrail(trail);
      assert.deepEqual(gaps(lines), []);
      assert.deepEqual(
        lines.slice(-6).map(({ entry }) => entry),
        ['b0', 'b1', 'b2', 'b3', 'b4', 'after'],
      );
      assert.equal(broker.stderr().split('the audit trail cannot be written').length, 2, 'said once');
    });
  });

  it('has writes and executions refused before they are done where a line is required', async () => {
    await onSmallDisk({ required: true }, async ({ broker, trail }, { fill, free }) => {
      await replace(broker, 'a');
      fill();
      assert.equal(await untilFull(broker), 503);
      const refused = await replace(broker, 'refused');
      assert.equal(refused.status, 503);
      assert.equal(refused.body['code'], 'unavailable');
      assert.match(
        String(refused.body['message']),
        /audit trail cannot be written.*Nothing was done: no space left/,
      );
      assert.equal((await call(broker, '/tool/Run', {})).status, 503);
      assert.equal((await call(broker, '/services/Get', { name: 'refused' })).status, 404);
      assert.equal((await call(broker, '/services/Get', { name: 'a' })).status, 200, 'reads go on');
      const readiness = await ready(broker);
      assert.match(readiness, /"ready":false/);
      assert.match(readiness, /"audit":\{"ok":false,"reason":"writes are refused: the audit trail/);
      free();
      await waitFor('writes', async () => (await replace(broker, 'after')).status === 200);
      const lines = readTrail(trail);
      assert.deepEqual(gaps(lines), []);
      assert.ok(lines.some(({ entry, outcome }) => entry === 'refused' && outcome === 'unavailable'));
      assert.match(await ready(broker), /"ready":true/);
    });
  });

  it('answers a writer that its write was done, though a required line is missing', async () => {
    const dir = tempDir();
    const gone = path.join(dir, 'gone');
    mkdirSync(gone);
    const { broker } = await begin({ required: true, file: path.join(gone, 'trail.jsonl') }, { dir });
    assert.equal((await replace(broker, 'a')).status, 200);
    rmSync(gone, { recursive: true });
    const answer = await replace(broker, 'b');
    assert.equal(answer.body['code'], 'outcome_unknown', JSON.stringify(answer));
    assert.match(String(answer.body['message']), /The write was done/);
    assert.equal((await call(broker, '/services/Get', { name: 'b' })).status, 200);
    assert.equal((await replace(broker, 'c')).body['code'], 'unavailable');
    await broker.stop();
  });
});
