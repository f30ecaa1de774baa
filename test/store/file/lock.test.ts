import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { acquireLock, lockHolder } from '../../../src/store/file/lock.ts';
import { tempDir } from '../../support/temp.ts';
import { outputOf, startScript } from '../support.ts';

let dir = '';
let file = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = tempDir();
  file = path.join(dir, 'bpbroker.json');
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
});

function contend(...args: string[]): ChildProcess {
  const child = startScript('lock.child', args);
  children.push(child);
  return child;
}

/** What a contender says first. */
async function verdict(child: ChildProcess): Promise<string> {
  const [bytes] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  return String(bytes).trim();
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

describe('acquireLock()', () => {
  it('refuses a second holder, naming the first', async () => {
    const lock = await acquireLock(file);
    const child = contend(file);
    assert.equal(
      await verdict(child),
      `lost Another broker (pid ${process.pid}) is using ${file}; stop it first`,
    );
    await assert.rejects(acquireLock(file), { code: 'invalid_config', exitCode: 1 });
    await lock.release();
  });

  it('lets the next one have the lock once released, and leaves nothing behind', async () => {
    for (let i = 0; i < 3; i++) await (await acquireLock(file)).release();
    assert.deepEqual(readdirSync(dir), []);
    const other = await acquireLock(`${file}.other`);
    await (await acquireLock(file)).release();
    await other.release();
  });

  it('is free at once after its holder was killed', async () => {
    for (let i = 0; i < 3; i++) {
      const child = contend(file);
      assert.equal(await verdict(child), 'won');
      await assert.rejects(acquireLock(file), { message: new RegExp(`pid ${child.pid}`) });
      await kill(child);
      const lock = await acquireLock(file);
      await lock.release();
      assert.deepEqual(readdirSync(dir), []);
    }
  });

  it('is won by one of ten processes that start at once, beside the lock of a dead one', async () => {
    for (let round = 0; round < 3; round++) {
      const dead = contend(file);
      assert.equal(await verdict(dead), 'won');
      await kill(dead);
      const contenders = Array.from({ length: 10 }, () => contend(file));
      const verdicts = await Promise.all(contenders.map(verdict));
      const winners = contenders.filter((_, i) => verdicts[i] === 'won');
      assert.equal(winners.length, 1, verdicts.join('; '));
      for (const said of verdicts) assert.match(said, /^won$|^lost Another broker \(pid \d+\)/);
      // The dead winner of this round is the stale lock of the next.
      await Promise.all(winners.map(kill));
    }
  });

  it('is never held by two of the processes that fight for it, while some are killed', async () => {
    const log = path.join(dir, 'log');
    writeFileSync(log, '');
    const victims = Array.from({ length: 3 }, () => contend(file, log, '15'));
    const survivors = Array.from({ length: 5 }, () => outputOf(contend(file, log, '15')));
    const killed = new Set(victims.map((child) => child.pid));
    await Promise.all(
      victims.map(async (child) => {
        await verdict(child);
        await kill(child);
      }),
    );
    for (const { code, stderr } of await Promise.all(survivors)) assert.equal(code, 0, stderr);
    let holder: string | undefined;
    for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
      const [what, pid = ''] = line.split(' ');
      if (what === 'leave') {
        assert.equal(holder, pid);
        holder = undefined;
      } else {
        assert.ok(
          holder === undefined || killed.has(Number(holder)),
          `${pid} entered while ${holder} held it`,
        );
        holder = pid;
      }
    }
  });

  it('works where the path is longer than a socket may have', async () => {
    const deep = path.join(dir, 'd'.repeat(90), 'e'.repeat(90));
    mkdirSync(deep, { recursive: true });
    const long = path.join(deep, 'bpbroker.json');
    const lock = await acquireLock(long);
    assert.match(await verdict(contend(long)), new RegExp(`^lost Another broker \\(pid ${process.pid}\\)`));
    await lock.release();
    const child = contend(long);
    assert.equal(await verdict(child), 'won');
    await kill(child);
    await (await acquireLock(long)).release();
    assert.deepEqual(readdirSync(deep), []);
  });

  it('is one lock, whatever way leads to the folder', async () => {
    const link = path.join(tempDir(), 'link');
    symlinkSync(dir, link);
    const lock = await acquireLock(file);
    await assert.rejects(acquireLock(path.join(link, 'bpbroker.json')), { code: 'invalid_config' });
    await lock.release();
  });

  it('says so where it cannot be made', async () => {
    await assert.rejects(acquireLock(path.join(dir, 'none', 'bpbroker.json')), {
      code: 'invalid_config',
      message: /^Cannot lock .*none/,
    });
    writeFileSync(`${file}.lock`, 'a file of its own');
    chmodSync(`${file}.lock`, 0o600);
    await assert.rejects(acquireLock(file), { code: 'invalid_config' });
    assert.equal(readFileSync(`${file}.lock`, 'utf8'), 'a file of its own');
  });
});

describe('lockHolder()', () => {
  it('names who holds the lock, and changes nothing', async () => {
    assert.equal(await lockHolder(file), undefined);
    const child = contend(file);
    assert.equal(await verdict(child), 'won');
    const before = readdirSync(dir);
    assert.equal(await lockHolder(file), child.pid);
    assert.deepEqual(readdirSync(dir), before);
    await kill(child);
    const left = readdirSync(dir);
    assert.equal(await lockHolder(file), undefined, 'a dead one holds nothing');
    assert.deepEqual(readdirSync(dir), left);
  });
});
