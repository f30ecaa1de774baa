import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { AuditRecord } from '../../../src/api/audit/record.ts';
import { openTrail, type Trail, type TrailOptions } from '../../../src/broker/audit/trail.ts';
import { tempDir } from '../../support/temp.ts';
import { unmount } from '../../support/teardown.ts';
import { gaps, readTrail, trailFiles } from '../../support/registry/trail.ts';
import { waitFor } from '../../support/wait.ts';

const time = '2026-01-31T12:00:00.000Z';
const record = (entry: string): AuditRecord => ({ time, event: 'execution', entry });
const noUnix = process.platform === 'win32' ? 'Windows has other files' : false;

interface Opened {
  readonly trail: Trail;
  readonly file: string;
  readonly logged: string[];
  readonly counts: { written: number; lost: number };
}

function open(options: Partial<TrailOptions> = {}): Opened {
  const file = options.file ?? path.join(tempDir(), 'a.audit.jsonl');
  const logged: string[] = [];
  const counts = { written: 0, lost: 0 };
  const say = (message: string, fields: object = {}): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
  };
  const trail = openTrail({
    maxBytes: 1_000_000,
    keep: 3,
    retryMs: 20,
    log: { debug: say, info: say, warn: say, error: say },
    onWritten: (lines) => (counts.written += lines),
    onLost: (lines) => (counts.lost += lines),
    ...options,
    file,
  });
  return { trail, file, logged, counts };
}

const entries = (file: string): (string | undefined)[] => readTrail(file).map(({ entry }) => entry);

describe('row "audit": a trail in a file', () => {
  it('has a line by the time that it is reported as written, for its owner alone', async () => {
    const { trail, file } = open();
    assert.equal(await trail.write(record('a\n\u007f\u009b"')), true);
    const text = readFileSync(file, 'utf8');
    assert.equal(text, `{"seq":1,"time":"${time}","event":"execution","entry":"a\\n\\u007f\\u009b\\""}\n`);
    if (!noUnix) assert.equal(statSync(file).mode & 0o777, 0o600);
    trail.close();
  });

  it('has the changes of one turn in the order of their revisions, and the rest at its place', async () => {
    const { trail, file } = open();
    const change = (revision: number): AuditRecord => ({
      time,
      event: 'write',
      method: 'Replace',
      revision,
      outcome: 'ok',
    });
    const renewed: AuditRecord = { ...change(1), method: 'Renew' };
    await Promise.all([change(9), record('x'), change(7), renewed, change(8)].map((one) => trail.write(one)));
    assert.deepEqual(
      readTrail(file).map(({ revision, entry }) => revision ?? entry),
      [7, 'x', 8, 1, 9],
    );
    trail.close();
  });

  it('goes on with its numbers after a restart, and in a new file when the last was put aside', async () => {
    const first = open();
    await first.trail.write(record('a'));
    first.trail.close();
    const second = open({ file: first.file });
    await second.trail.write(record('b'));
    second.trail.close();
    renameSync(first.file, first.file.replace('.jsonl', '-000000000000001.jsonl'));
    const third = open({ file: first.file });
    await third.trail.write(record('c'));
    third.trail.close();
    const lines = readTrail(first.file);
    assert.deepEqual(entries(first.file), ['a', 'b', 'c']);
    assert.deepEqual(gaps(lines), []);
    assert.equal(lines[0]?.seq, 1);
  });

  it('is put aside before it has more bytes than it may, whole lines alone; the oldest go', async () => {
    const { trail, file } = open({ maxBytes: 4096, keep: 3 });
    const name = 'n'.repeat(200);
    for (let i = 0; i < 150; i++) {
      const turn = [0, 1, 2].map((part) => trail.write(record(`${name}${i}.${part}`)));
      assert.deepEqual(await Promise.all(turn), [true, true, true]);
    }
    trail.close();
    const files = trailFiles(file);
    assert.equal(files.length, 4);
    for (const at of files) {
      assert.ok(statSync(at).size <= 4096, at);
      if (!noUnix) assert.equal(statSync(at).mode & 0o777, 0o600);
    }
    const lines = readTrail(file);
    assert.deepEqual(gaps(lines), []);
    assert.equal(lines.at(-1)?.entry, `${name}149.2`);
    const first = /-(\d{15})\.jsonl$/.exec(files[0] ?? '')?.[1];
    assert.equal(Number(first), lines[0]?.seq, 'a name tells the first line');
  });

  it('keeps a whole line that is damaged, and goes on behind it', async () => {
    const first = open();
    await first.trail.write(record('a'));
    first.trail.close();
    appendFileSync(first.file, '\0\0\0\n');
    const { trail } = open({ file: first.file });
    await trail.write(record('b'));
    trail.close();
    const [, damaged, last] = readFileSync(first.file, 'utf8').split('\n');
    assert.equal(damaged, '\0\0\0');
    assert.match(last ?? '', /^\{"seq":3,.*"b"\}$/);
  });

  it('replaces no file that has the name under which it would be put aside', async () => {
    const { trail, file } = open({ maxBytes: 4096 });
    const other = file.replace('.jsonl', '-000000000000001.jsonl');
    writeFileSync(other, 'precious');
    for (let i = 0; i < 60; i++) assert.equal(await trail.write(record('x'.repeat(200))), true);
    trail.close();
    assert.equal(readFileSync(other, 'utf8'), 'precious');
  });

  it('grows on where it cannot be put aside, and says so once', async () => {
    const { trail, file, logged } = open({ maxBytes: 4096 });
    mkdirSync(file.replace('.jsonl', '-000000000000001.jsonl'));
    for (let i = 0; i < 60; i++) assert.equal(await trail.write(record('x'.repeat(200))), true);
    assert.ok(statSync(file).size > 4096);
    assert.equal(logged.filter((line) => line.startsWith('the audit trail cannot be put aside')).length, 1);
    rmdirSync(file.replace('.jsonl', '-000000000000001.jsonl'));
    trail.close();
  });

  it('leaves out what a power cut left of its last line, and what was put aside by nobody', async () => {
    const first = open();
    for (const entry of ['a', 'b']) await first.trail.write(record(entry));
    first.trail.close();
    const { size } = statSync(first.file);
    for (const torn of ['{"seq":3,"ti', '\0\0\0\0', '{"seq":3}\0']) {
      truncateSync(first.file, size);
      appendFileSync(first.file, torn);
      const again = open({ file: first.file });
      await again.trail.write(record(torn));
      again.trail.close();
      assert.deepEqual(
        readTrail(first.file).map(({ seq, entry }) => [seq, entry]),
        [
          [1, 'a'],
          [2, 'b'],
          [3, torn],
        ],
      );
      assert.match(again.logged.join('\n'), /ended in an incomplete line/);
    }
  });

  it(
    'begins another file when its own is removed, and is written on where it was renamed',
    { skip: noUnix },
    async () => {
      const { trail, file, logged } = open();
      await trail.write(record('a'));
      rmSync(file);
      assert.equal(await trail.write(record('b')), true);
      assert.deepEqual(
        readTrail(file).map(({ seq, entry }) => [seq, entry]),
        [[2, 'b']],
      );
      assert.match(logged.join('\n'), /the audit trail was removed/);
      renameSync(file, `${file}.old`);
      await trail.write(record('c'));
      assert.deepEqual(entries(`${file}.old`), ['b', 'c']);
      trail.reopen();
      await trail.write(record('d'));
      assert.deepEqual(
        readTrail(file).map(({ seq, entry }) => [seq, entry]),
        [[4, 'd']],
      );
      trail.close();
    },
  );

  const places: Record<string, [make: (file: string) => void, why: RegExp]> = {
    'a symbolic link': [
      (file) => {
        writeFileSync(`${file}.target`, '');
        symlinkSync(`${file}.target`, file);
      },
      /symbolic link/,
    ],
    'a file with another name': [
      (file) => {
        writeFileSync(`${file}.other`, '');
        linkSync(`${file}.other`, file);
      },
      /has another name too/,
    ],
    'a file that is no trail': [(file) => writeFileSync(file, 'root:x:0:0\n'), /is no audit trail/],
    'JSON that is no trail': [(file) => writeFileSync(file, '{"seq":"1"}\n'), /is no audit trail/],
    'a pipe': [(file) => execFileSync('mkfifo', [file]), /is no file/],
    'a folder': [(file) => mkdirSync(file), /is a folder/],
  };
  for (const [what, [make, why]] of Object.entries(places)) {
    it(`is not written to ${what}`, { skip: noUnix }, async () => {
      const file = path.join(tempDir(), 'a.audit.jsonl');
      make(file);
      const target = existsSync(`${file}.target`) ? `${file}.target` : file;
      const before = statSync(target).isFile() ? readFileSync(target, 'utf8') : undefined;
      const { trail, logged } = open({ file });
      assert.equal(await trail.write(record('a')), false);
      assert.match(trail.problem() ?? '', why);
      assert.match(logged.join('\n'), why);
      trail.close();
      if (before !== undefined) assert.equal(readFileSync(target, 'utf8'), before);
    });
  }

  it('is closed to other users of the host', { skip: noUnix }, async () => {
    const first = open();
    await first.trail.write(record('a'));
    first.trail.close();
    chmodSync(first.file, 0o644);
    const { trail, logged } = open({ file: first.file });
    await trail.write(record('b'));
    assert.equal(statSync(first.file).mode & 0o777, 0o640);
    assert.match(logged.join('\n'), /other users of this host could read the audit trail/);
    trail.close();
  });
});

describe('a trail that cannot be written', () => {
  it('says so once, lets lines wait, and writes them with their numbers when it can', async () => {
    const dir = path.join(tempDir(), 'later');
    const file = path.join(dir, 'a.audit.jsonl');
    const { trail, logged, counts } = open({ file });
    for (const entry of ['c', 'd']) assert.equal(await trail.write(record(entry)), false);
    assert.match(trail.problem() ?? '', /no such file or folder/);
    assert.equal(trail.waiting, 2);
    mkdirSync(dir);
    // Another broker's lines, or its own of an earlier run.
    writeFileSync(file, `{"seq":6,"event":"stop"}\n`);
    await waitFor('the end of the trouble', () => trail.problem() === undefined);
    assert.equal(await trail.write(record('e')), true);
    assert.deepEqual(
      readTrail(file)
        .map(({ seq, entry }) => [seq, entry])
        .slice(1),
      [
        [7, 'c'],
        [8, 'd'],
        [9, 'e'],
      ],
    );
    assert.deepEqual(counts, { written: 3, lost: 0 });
    const said = logged.filter((line) => /cannot be written|is written again/.test(line));
    assert.equal(said.length, 2, said.join('\n'));
    trail.close();
  });

  it('loses what has no room, counts it, and says at its place how much it was', async () => {
    const dir = path.join(tempDir(), 'later');
    const file = path.join(dir, 'a.audit.jsonl');
    const { trail, counts } = open({ file, waitingBytes: 1000 });
    for (let i = 1; i <= 100; i++) await trail.write(record(`e${i}`));
    const kept = trail.waiting;
    assert.ok(kept > 5 && kept < 20, String(kept));
    assert.equal(counts.lost, 100 - kept);
    mkdirSync(dir);
    await waitFor('the end of the trouble', () => trail.problem() === undefined);
    await trail.write(record('after'));
    trail.close();
    const lines = readTrail(file);
    assert.deepEqual(gaps(lines), [`${kept} → 101`]);
    assert.deepEqual(
      lines.slice(kept).map(({ event, entry, count }) => [event, entry ?? count]),
      [
        ['lost', 100 - kept],
        ['execution', 'after'],
      ],
    );
  });

  it('counts as lost what it still has when it is closed', async () => {
    const { trail, counts } = open({ file: path.join(tempDir(), 'none', 'a.jsonl') });
    await trail.write(record('a'));
    void trail.write(record('b'));
    trail.close();
    assert.deepEqual(counts, { written: 0, lost: 2 });
  });

  const noMount = process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs Linux and root';
  it('goes on in the midst of a line when a full disk has room again', { skip: noMount }, async () => {
    const place = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place]);
    try {
      const file = path.join(place, 'a.audit.jsonl');
      const { trail, counts, logged } = open({ file });
      // What is left of it is no multiple of a line's length.
      writeFileSync(path.join(place, 'filler'), Buffer.alloc(40_000));
      let written = 0;
      while (await trail.write(record(`${written} ${'x'.repeat(333)}`))) written++;
      assert.match(trail.problem() ?? '', /no space left/);
      await trail.write(record('while full'));
      assert.ok(!readFileSync(file, 'utf8').endsWith('\n'), 'the disk took a part of a line');
      rmSync(path.join(place, 'filler'));
      await waitFor('room', () => trail.problem() === undefined);
      await trail.write(record('after'));
      trail.close();
      const lines = readTrail(file);
      assert.deepEqual(gaps(lines), []);
      assert.equal(lines.length, written + 3);
      assert.deepEqual(
        lines.slice(-2).map(({ entry }) => entry),
        ['while full', 'after'],
      );
      assert.deepEqual(counts, { written: written + 3, lost: 0 });
      assert.equal(logged.filter((line) => line.startsWith('the audit trail cannot be written')).length, 1);
    } finally {
      unmount(place);
    }
  });
});
