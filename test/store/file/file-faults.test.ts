import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { openIn, outputOf, put, remove, startScript } from '../support.ts';

const noStrace = whyNot(() => execFileSync('strace', ['-V'], { stdio: 'ignore' }), 'needs strace');

function whyNot(attempt: () => unknown, reason: string): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  try {
    attempt();
    return false;
  } catch {
    return reason;
  }
}

interface Fact {
  readonly opened?: boolean;
  readonly code?: string;
  readonly n?: number;
  readonly outcome?: string;
  readonly reads?: number;
  readonly shown?: boolean;
  readonly rewrite?: string;
  readonly health?: { writable: boolean; reason?: string };
}

/** Runs the writer with `inject` (strace's words); then every acknowledged write must be stored. */
async function underFault(inject: string, rewriteAfter = 0, writes = 8, bytes = 0): Promise<Fact[]> {
  const dir = tempDir();
  const injections = inject.split(' ');
  const calls = injections.map((one) => one.split(':')[0]).join(',');
  const tracer = [
    'env',
    'UV_THREADPOOL_SIZE=1',
    'strace',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    `trace=${calls}`,
    ...injections.flatMap((one) => ['-e', `inject=${one}`]),
  ];
  const { stdout, stderr, code } = await outputOf(
    startScript('faults.child', [dir, String(writes), String(rewriteAfter), String(bytes)], tracer),
  );
  assert.equal(code, 0, stderr);
  const facts = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Fact);
  const store = await openIn(dir);
  for (const { n, outcome } of facts) {
    if (n !== undefined && outcome === 'ok') assert.equal((await store.get(`n${n}`))?.data['n'], n, inject);
  }
  await store.mutate('after', put('x'));
  await store.close();
  return facts;
}

const outcomes = (facts: readonly Fact[]): unknown[] =>
  facts.flatMap((fact) => (fact.n ? [fact.outcome] : []));

describe('a disk that fails every time', { skip: noStrace }, () => {
  it('to sync a commit: no write is acknowledged', async () => {
    const facts = await underFault('fdatasync:error=EIO');
    assert.deepEqual(outcomes(facts), ['outcome_unknown', ...Array.from({ length: 7 }, () => 'unavailable')]);
    assert.match(
      facts.at(-1)?.health?.reason ?? '',
      /read-only since .*(EIO|Input\/output).*restart the broker/,
    );
  });

  it('to sync a file: nothing is opened', async () => {
    assert.deepEqual(await underFault('fsync:error=EIO'), [{ opened: false, code: 'unavailable' }]);
  });

  for (const error of ['ENOSPC', 'EDQUOT']) {
    it(`to take a commit, with ${error}: each write is refused with storage_full`, async () => {
      const facts = await underFault(`pwrite64:error=${error}`);
      assert.deepEqual(
        outcomes(facts),
        Array.from({ length: 8 }, () => 'storage_full'),
      );
      assert.equal(facts.at(-1)?.health?.writable, false);
    });
  }
});

const isNode = !('Bun' in globalThis) && !('Deno' in globalThis);

describe('an I/O error', { skip: noStrace || (!isNode && 'counts the system calls of Node') }, () => {
  for (const when of ['1', '2', '2+', '5']) {
    it(`of fdatasync at call ${when} ends writing for good, while reads go on`, async () => {
      const facts = await underFault(`fdatasync:error=EIO:when=${when}`);
      const good = Number.parseInt(when, 10) - 1;
      const expected = Array.from({ length: 8 }, (_, i) =>
        i < good ? 'ok' : i === good ? 'outcome_unknown' : 'unavailable',
      );
      assert.deepEqual(outcomes(facts), expected);
      for (const fact of facts) {
        if (fact.n === undefined) continue;
        assert.equal(fact.shown, fact.outcome === 'ok');
        if (good > 0) assert.equal(fact.reads, 1);
      }
      const health = facts.at(-1)?.health;
      assert.equal(health?.writable, false);
      assert.match(health?.reason ?? '', /read-only since .*EIO.*restart the broker/);
    });
  }

  // strace counts the calls of each thread, and on a quick disk the latest ones are the process's own.
  it('of a sync after many that went well ends writing for good, whichever thread makes it', async () => {
    const found = outcomes(await underFault('fdatasync:error=EIO:when=130', 0, 400));
    const good = found.indexOf('outcome_unknown');
    assert.ok(good >= 129, `${good} writes were stored`);
    const expected = Array.from({ length: 400 }, (_, i) =>
      i < good ? 'ok' : i === good ? 'outcome_unknown' : 'unavailable',
    );
    assert.deepEqual(found, expected);
  });

  it('of a write to the journal ends writing for good', async () => {
    const facts = await underFault('pwrite64:error=EIO:when=3');
    // The file and the first journal are written without a position, so these are the commits alone.
    assert.deepEqual(outcomes(facts), [
      'ok',
      'ok',
      'outcome_unknown',
      ...Array.from({ length: 5 }, () => 'unavailable'),
    ]);
  });

  describe('of the spare room behind a frame that makes the journal grow', () => {
    // A long frame is written by the thread that writes the spare room behind it, so that is the second call.
    const writes = (inject: string): Promise<Fact[]> => underFault(inject, 0, 3, 100_000);

    it('ends writing for good, with the write that wanted it', async () => {
      const facts = await writes('pwrite64:error=EIO:when=2');
      assert.deepEqual(outcomes(facts), ['outcome_unknown', 'unavailable', 'unavailable']);
      assert.equal(facts.find(({ n }) => n === 1)?.shown, false);
      assert.match(facts.at(-1)?.health?.reason ?? '', /read-only since .*EIO.*restart the broker/);
    });

    for (const inject of ['pwrite64:error=ENOSPC:when=2', 'pwrite64:retval=0:when=2']) {
      it(`costs no write where there is no room for it: ${inject}`, async () => {
        const facts = await writes(inject);
        assert.deepEqual(outcomes(facts), ['ok', 'ok', 'ok']);
        assert.deepEqual(facts.at(-1)?.health, { writable: true });
      });
    }

    it('ends writing for good where what was written of it cannot be cut off', async () => {
      const facts = await writes('pwrite64:error=ENOSPC:when=2 ftruncate:error=EIO');
      assert.deepEqual(outcomes(facts), ['outcome_unknown', 'unavailable', 'unavailable']);
    });
  });

  for (const when of [1, 2, 3, 4, 5, 6]) {
    it(`of fsync at call ${when}, while opening, is reported and leaves nothing broken`, async () => {
      const facts = await underFault(`fsync:error=EIO:when=${when}`);
      assert.deepEqual(facts, [{ opened: false, code: 'unavailable' }]);
    });
  }

  for (const when of [7, 8]) {
    it(`of fsync at call ${when}, while the file is rewritten, ends writing for good`, async () => {
      const facts = await underFault(`fsync:error=EIO:when=${when}`, 4);
      assert.deepEqual(outcomes(facts), [
        'ok',
        'ok',
        'ok',
        ...Array.from({ length: 5 }, () => 'unavailable'),
      ]);
      assert.ok(facts.some((fact) => fact.rewrite === 'unavailable'));
    });
  }

  it('of a full disk while the file is rewritten leaves the registry going on in its journal', async () => {
    // Opening writes the file, the first journal and its name; the fourth write is that of the rewriting.
    const facts = await underFault('fsync:error=ENOSPC:when=7', 4);
    assert.deepEqual(
      outcomes(facts),
      Array.from({ length: 8 }, () => 'ok'),
    );
    assert.ok(facts.some((fact) => fact.rewrite === 'storage_full'));
    assert.deepEqual(facts.at(-1)?.health, { writable: true });
  });

  it('of a full disk refuses that one write, and takes the next', async () => {
    const facts = await underFault('pwrite64:error=ENOSPC:when=3');
    assert.deepEqual(outcomes(facts), ['ok', 'ok', 'storage_full', ...Array.from({ length: 5 }, () => 'ok')]);
    assert.equal(facts.find((fact) => fact.n === 3)?.shown, false);
  });

  it('of cutting off what a full disk left ends writing for good', async () => {
    const dir = tempDir();
    const inject = ['-e', 'inject=pwrite64:error=ENOSPC:when=3', '-e', 'inject=ftruncate:error=EIO'];
    const tracer = [
      'env',
      'UV_THREADPOOL_SIZE=1',
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=pwrite64,ftruncate',
      ...inject,
    ];
    const { stdout } = await outputOf(startScript('faults.child', [dir, '5', '0'], tracer));
    const facts = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Fact);
    assert.deepEqual(outcomes(facts), ['ok', 'ok', 'outcome_unknown', 'unavailable', 'unavailable']);
  });
});

describe('a full disk', () => {
  const place = path.join(tempDir(), 'small');
  const noMount = process.getuid?.() === 0 ? whyNot(mount, 'needs to mount a tmpfs') : 'needs root';

  function mount(): void {
    execFileSync('mkdir', ['-p', place]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { stdio: 'ignore' });
  }

  it(
    'refuses writes with storage_full, keeps reads, and takes writes again once there is room',
    { skip: noMount },
    async () => {
      try {
        const store = await openIn(place, { probeMs: 20 });
        await store.mutate('kept', put('k'));
        const filler = path.join(place, 'filler');
        writeFileSync(filler, 'x'.repeat(700_000));
        // Together they are longer than the room left, so that the system takes a part of a write before it refuses.
        const stored: string[] = [];
        for (let round = 0; ; round++) {
          const names = Array.from({ length: 6 }, (_, i) => `r${round}-${i}`);
          const results = await Promise.allSettled(
            names.map((name) => store.mutate(name, put('y'.repeat(3000)))),
          );
          if (results.every((result) => result.status === 'fulfilled')) {
            stored.push(...names);
            continue;
          }
          for (const result of results) {
            assert.equal(
              result.status === 'rejected' && (result.reason as { code: string }).code,
              'storage_full',
            );
          }
          for (const name of names) assert.equal(await store.get(name), undefined);
          break;
        }
        assert.equal((await store.get('kept'))?.data['_str'], 'k');
        await assert.rejects(store.mutate('big', put('z'.repeat(300_000))), { code: 'storage_full' });
        assert.match(store.health().reason ?? '', /no room on the disk/);
        // There is no room for a new file either; the old one and the journal stay valid.
        await assert.rejects(store.rewrite(), { code: 'storage_full' });
        // What the refused writes left behind is cut off already, so there is nothing to warn of.
        const image = await openIn(copyOf(place), {
          log: (level, message) => assert.fail(`${level}: ${message}`),
        });
        assert.deepEqual(
          (await image.list()).entries.map((entry) => entry.name),
          ['kept', ...stored].toSorted(),
        );
        await image.close();
        rmSync(filler);
        await waitFor('health to be well again', () => store.health().writable);
        const first = await store.mutate('later', put('x'));
        assert.equal(first.revision, stored.length + 2);
        await store.mutate('kept', remove);
        await store.close();
        const again = await openIn(place);
        assert.deepEqual(
          (await again.list()).entries.map((entry) => entry.name),
          ['later', ...stored].toSorted(),
        );
        await again.close();
      } finally {
        unmount(place);
      }
    },
  );
});

function copyOf(dir: string): string {
  const copy = path.join(tempDir(), 'copy');
  execFileSync('cp', ['-r', dir, copy]);
  rmSync(path.join(copy, 'filler'), { force: true });
  return copy;
}
