import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { treeOf } from '../../support/registry/tree.ts';
import { waitFor } from '../../support/wait.ts';
import { backUp, restore } from './backup-support.ts';
import { bpbroker, connectTo, reference } from '../support.ts';

/** A stopped broker's folder with one backup of `foo`, and `foo` changed since. */
async function withBackup(): Promise<{ dir: string; backup: string }> {
  const broker = await startBroker(reference, { config: { services: {}, mine: { x: 'before' } } });
  await broker.client(['service', 'register', '--name', 'foo', '--data', 'before']);
  const { stdout, stderr } = await backUp(broker.dir);
  assert.match(stderr, /: 1 entry, \d+ bytes\n/);
  const backup = stdout.trim();
  await broker.client(['service', 'replace', '--name', 'foo', '--data', 'after']);
  await broker.kill();
  return { dir: broker.dir, backup };
}

describe('bpbroker restore', () => {
  it('puts the whole file back, keeps what was there, and lets watches begin anew', async () => {
    const { dir, backup } = await withBackup();
    const file = path.join(dir, 'bpbroker.json');
    const certificate = readFileSync(path.join(dir, 'bpbroker.crt'));
    const stood = Object.entries(treeOf(dir)).filter(([name]) => /^bpbroker\.json(\.journal.*)?$/.test(name));
    const { code, stdout, stderr } = await restore(dir, backup);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^1 entry as of /);
    const [restored, kept, before] = stdout.split('\n');
    assert.equal(restored, `restored ${file}`);
    const keptIn = /^kept (.*)$/.exec(kept ?? '')?.[1] ?? '';
    for (const [name, content] of stood) assert.equal(treeOf(keptIn)[name], content, name);
    assert.deepEqual(readFileSync(path.join(dir, 'bpbroker.crt')), certificate);
    const broker = await startBroker(reference, { dir });
    const client = await connectTo(broker);
    const foo = await client.get('foo');
    assert.deepEqual([foo.data, foo.revision], ['before', 1]);
    for await (const { type, revision } of client.watch({ after: 2 })) {
      assert.deepEqual([type, revision], ['reset', 3], 'a reader that has seen revision 2 gets a reset');
      break;
    }
    assert.equal((await client.replace('foo', 'new')).revision, 4);
    client.close();
    await broker.stop();
    const back = await restore(dir, /^backup (.*)$/.exec(before ?? '')?.[1] ?? '');
    assert.equal(back.code, 0, back.stderr);
    const again = await startBroker(reference, { dir });
    assert.equal((await again.client(['service', 'get', '--name', 'foo'])).stdout, 'after\n');
    await again.kill();
  });

  it('is refused while a broker runs on the file', async () => {
    const { dir, backup } = await withBackup();
    const broker = await startBroker(reference, { dir });
    // The broker before was killed, so this one rewrites the file beside its work.
    await waitFor('the file to be rewritten', () => {
      const names = readdirSync(dir);
      const file = readFileSync(path.join(dir, 'bpbroker.json'), 'utf8');
      return file.includes('"after"') && !names.some((name) => name.includes('.tmp-'));
    });
    const before = treeOf(dir);
    const { code, stdout, stderr } = await restore(dir, backup);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, new RegExp(`^Fatal error: Another broker \\(pid ${broker.pid}\\) is using `));
    assert.deepEqual(treeOf(dir), before);
    assert.equal((await broker.client(['service', 'get', '--name', 'foo'])).stdout, 'after\n');
    await broker.kill();
  });

  it('refuses a backup that is not whole, and changes nothing', async () => {
    const { dir, backup } = await withBackup();
    const good = readFileSync(backup, 'utf8');
    const flipped = (at: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes;
    };
    const damaged: Record<string, [string | Buffer, RegExp]> = {
      cut: [good.slice(0, good.length / 2), /line:column \d+:\d+: malformed JSON: /],
      'cut by its last byte': [good.slice(0, -1), /checksum/],
      'flipped in an option': [flipped(good.indexOf('before')), /does not match its checksum/],
      'flipped in an entry': [flipped(good.lastIndexOf('before')), /does not match its checksum/],
      'flipped in the time': [flipped(good.indexOf('"taken": "') + 12), /does not match its checksum/],
      'flipped in the JSON': [flipped(good.indexOf('{')), /line:column 1:1: malformed JSON: /],
      'not UTF-8': [Buffer.from([0x7b, 0xff, 0x7d]), /not valid UTF-8/],
      'other JSON': ['{"a": 1}\n', /has no "_backup"/],
      'a list': ['[]', /expected a JSON object/],
      'a configuration file': [readFileSync(path.join(dir, 'bpbroker.json')), /has no "_backup"/],
      empty: ['', /line:column 1:1: malformed JSON: .*the text ends/],
      'a newer format': [good.replace('bpbroker backup 1', 'bpbroker backup 2'), /made by a newer version/],
    };
    const outside = tempDir();
    const before = treeOf(dir);
    for (const [what, [content, reason]] of Object.entries(damaged)) {
      const file = path.join(outside, what.replaceAll(' ', '-'));
      writeFileSync(file, content);
      const { code, stdout, stderr } = await restore(dir, file);
      assert.deepEqual([code, stdout], [1, ''], what);
      assert.match(stderr, /^Fatal error: Cannot use the backup [^\n]*; nothing was changed\n$/, what);
      assert.match(stderr, reason, what);
      assert.deepEqual(treeOf(dir), before, what);
    }
    assert.equal((await restore(dir, path.join(outside, 'none'))).code, 2);
    assert.deepEqual(treeOf(dir), before);
    assert.equal((await bpbroker(dir, ['restore'])).code, 2);
  });

  it('stands in for a file that is damaged or gone, far ahead of what was given out', async () => {
    const { dir, backup } = await withBackup();
    const file = path.join(dir, 'bpbroker.json');
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 100));
    const { code, stdout, stderr } = await restore(dir, backup);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^restored .*\nkept .*\n$/);
    assert.match(
      stderr,
      /The replaced registry was not backed up, because it cannot be read: .*malformed JSON/,
    );
    const broker = await startBroker(reference, { dir });
    const client = await connectTo(broker);
    assert.ok((await client.replace('foo', 'new')).revision > 1_000_000);
    client.close();
    await broker.kill();
    const elsewhere = tempDir();
    copyFileSync(backup, path.join(elsewhere, 'the-backup'));
    const moved = await restore(elsewhere, path.join(elsewhere, 'the-backup'));
    assert.deepEqual([moved.code, moved.stdout], [0, `restored ${path.join(elsewhere, 'bpbroker.json')}\n`]);
    assert.equal(statSync(path.join(elsewhere, 'bpbroker.json')).mode & 0o777, 0o600);
  });

  const root = process.getuid?.() === 0 ? false : 'root alone refuses symbolic links';
  it('follows no symbolic link as root', { skip: root }, async () => {
    const { dir, backup } = await withBackup();
    const other = tempDir();
    symlinkSync(path.join(dir, 'bpbroker.json'), path.join(other, 'bpbroker.json'));
    const before = treeOf(dir);
    const { code, stderr } = await restore(other, backup);
    assert.deepEqual([code, /symbolic link/.test(stderr)], [1, true], stderr);
    assert.deepEqual(treeOf(dir), before);
  });
});
