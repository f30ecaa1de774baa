import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { readJsonFile } from '../../../../src/config/json-file.ts';
import type { JsonObject } from '../../../../src/protocol/formats/data.ts';
import { openFileStore } from '../../../../src/store/file/file-store.ts';
import { tempDir } from '../../../support/temp.ts';
import { contentOf, journalsIn, openIn, OPTIONS, put, remove, take } from '../../support.ts';

let dir = '';
let file = '';

beforeEach(() => {
  dir = tempDir();
  file = path.join(dir, 'bpbroker.json');
});

async function fill(count: number): Promise<void> {
  const store = await openIn(dir);
  for (let i = 0; i < count; i++) await store.mutate(`n${i}`, put(`v${i}`));
  await store.close();
}

/** Opening must be refused for a reason that matches, with every file left as it is. */
async function refused(reason: RegExp): Promise<void> {
  const before = contentOf(dir);
  await assert.rejects(openIn(dir), (error: Error & { code: string }) => {
    assert.equal(error.code, 'invalid_config');
    assert.match(error.message, reason);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
  assert.deepEqual(contentOf(dir), before);
}

function edit(change: (text: string) => string): void {
  const text = readFileSync(file, 'utf8');
  const changed = change(text);
  assert.notEqual(changed, text);
  writeFileSync(file, changed);
}

describe('the file', () => {
  it('holds options as given, entries one a line, and the registry last', async () => {
    const store = await openIn(dir);
    await store.mutate('foo', put('bar', 30_000));
    await store.mutate('10', put({ key: ['special data'] }));
    await store.close();
    const text = readFileSync(file, 'utf8');
    const document = JSON.parse(text) as Record<string, JsonObject>;
    assert.deepEqual(Object.keys(document), ['api', 'services', '_registry']);
    assert.deepEqual(document['services'], {
      _access_key: 'secret',
      '10': { last_write_ts: 1_420_068_290, last_write_ip: '127.0.0.1', key: ['special data'] },
      foo: { last_write_ts: 1_420_068_290, last_write_ip: '127.0.0.1', _str: 'bar' },
    });
    assert.match(text, /^ {2}"api": \{\n {4}"listen_port": 20443\n {2}\},$/m);
    assert.match(
      text,
      /^ {4}"foo": \{"last_write_ts":1420068290,"last_write_ip":"127.0.0.1","_str":"bar"\}$/m,
    );
    assert.match(text, /^ {4}"checksum": "[0-9a-f]{8}",$/m);
    assert.deepEqual(document['_registry']?.['entries'], {
      '10': { revision: 2 },
      foo: { revision: 1, ttl_ms: 30_000 },
    });
  });

  it(
    'is made with mode 0600, and keeps the mode it has',
    { skip: process.platform === 'win32' },
    async () => {
      await fill(1);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      for (const journal of journalsIn(dir)) assert.equal(statSync(journal).mode & 0o777, 0o600);
      chmodSync(file, 0o644);
      const store = await openIn(dir);
      await store.mutate('foo', put('bar'));
      await store.rewrite();
      await store.close();
      assert.equal(statSync(file).mode & 0o777, 0o644);
    },
  );

  it('of the original product loads as it is', async () => {
    const original = {
      api: { listen_port: 20_443 },
      services: {
        _access_key: 'secret',
        foo: { _str: 'bar', last_write_ip: '10.0.0.1', last_write_ts: 1_420_068_290.5 },
        obj: { key: 'special data', last_write_ip: '10.0.0.2', last_write_ts: 1_420_068_291 },
        'by hand': 'text',
      },
    };
    writeFileSync(file, JSON.stringify(original));
    const store = await openIn(dir);
    const { entries, revision } = await store.list();
    assert.equal(revision, 3);
    assert.deepEqual(entries, [
      { name: 'by hand', data: { _str: 'text' }, lastWriteTs: 0, lastWriteIp: '', revision: 3 },
      {
        name: 'foo',
        data: { _str: 'bar' },
        lastWriteTs: 1_420_068_290,
        lastWriteIp: '10.0.0.1',
        revision: 1,
      },
      {
        name: 'obj',
        data: { key: 'special data' },
        lastWriteTs: 1_420_068_291,
        lastWriteIp: '10.0.0.2',
        revision: 2,
      },
    ]);
    await store.close();
    const again = await openIn(dir);
    assert.deepEqual((await again.list()).entries, entries);
    await again.close();
  });

  it('takes options edited by hand', async () => {
    await fill(2);
    edit((text) => text.replace('"listen_port": 20443', '"listen_port": 9').replace('"secret"', '"other"'));
    const store = await openIn(dir);
    assert.equal(await store.count(''), 2);
    await store.close();
    // The caller's present value is written.
    assert.match(readFileSync(file, 'utf8'), /"listen_port": 20443/);
  });

  it('does not gain a services module that the options do not have', async () => {
    const store = await openFileStore({ file, document: undefined, options: () => ({ ping: {} }) });
    await store.close();
    assert.deepEqual(Object.keys((await readJsonFile(file)) ?? {}), ['ping', '_registry']);
  });

  it('is written at close() when the options changed, and left alone when nothing did', async () => {
    await fill(1);
    const before = statSync(file).ino;
    await (await openIn(dir)).close();
    assert.equal(statSync(file).ino, before);
    await (await openIn(dir, { options: () => ({ ...OPTIONS, ping: {} }) })).close();
    assert.match(readFileSync(file, 'utf8'), /"ping": \{\}/);
  });

  it('is rid of temporary files that a crash left', async () => {
    await fill(1);
    const leftovers = ['bpbroker.json', 'bpbroker.json.journal.0000000000000009'].map(
      (name) => `${name}.tmp-0123456789abcdef`,
    );
    for (const name of [...leftovers, 'other.tmp-0123456789abcdef']) writeFileSync(path.join(dir, name), 'x');
    await (await openIn(dir)).close();
    for (const name of leftovers) assert.ok(!existsSync(path.join(dir, name)), name);
    assert.ok(existsSync(path.join(dir, 'other.tmp-0123456789abcdef')));
  });

  it(
    'that is a symbolic link is refused to root, and followed by others',
    { skip: process.getuid?.() !== 0 && 'needs root' },
    async () => {
      const real = path.join(tempDir(), 'real.json');
      writeFileSync(real, '{}');
      symlinkSync(real, file);
      await refused(/symbolic link/);
      assert.equal(readFileSync(real, 'utf8'), '{}');
    },
  );
});

describe('entries changed outside of the broker', () => {
  const changes: Record<string, (text: string) => string> = {
    changed: (text) => text.replace('"v1"', '"v9"'),
    added: (text) => text.replace('"n1":', '"extra": {"_str": "x"},\n    "n1":'),
    removed: (text) => text.replace(/^ {4}"n1":.*\n/m, ''),
    renamed: (text) => text.replace('"n1": {"l', '"m1": {"l'),
    'given another revision': (text) => text.replace('"n1": {"revision": 2', '"n1": {"revision": 1'),
    'set back as a whole': (text) => text.replace('"revision": 3,', '"revision": 2,'),
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`are refused while the checksum matches: ${what}`, async () => {
      await fill(3);
      edit(change);
      await refused(/bpbroker\.json.*changed outside of the broker.*"checksum"/);
    });
  }

  it('are accepted once the checksum is removed, and watches begin anew', async () => {
    await fill(3);
    edit((text) =>
      text
        .replace('"v1"', '"v9"')
        .replace('"n2":', '"extra": {"_str": "x"},\n    "n2":')
        .replace(/^ *"checksum".*\n/m, ''),
    );
    const store = await openIn(dir);
    assert.equal((await store.get('n1'))?.data['_str'], 'v9');
    assert.equal((await store.get('extra'))?.data['_str'], 'x');
    assert.equal((await store.get('n0'))?.data['_str'], 'v0');
    assert.equal(store.revision, 4);
    // A conditional write on what was read before must not pass over the change.
    assert.equal((await store.get('n1'))?.revision, 4);
    assert.deepEqual(await take(store.watch({ after: 3 }), 1), [{ type: 'reset', revision: 4 }]);
    await store.mutate('n0', put('later'));
    await store.close();
    const again = await openIn(dir);
    assert.equal((await again.get('n1'))?.data['_str'], 'v9');
    assert.equal(again.revision, 5);
    await again.close();
  });
});

describe('files that do not belong together are refused', () => {
  /** A registry with a crash behind it: writes stand in its journal alone. */
  it('a file that is gone while its journals exist', async () => {
    await fill(1);
    rmSync(file);
    await refused(/does not exist/);
  });

  it('a file without "_registry" beside journals', async () => {
    await fill(1);
    writeFileSync(file, '{"services": {}}');
    await refused(/has no "_registry"/);
  });

  it('journals of another registry', async () => {
    await fill(1);
    const text = readFileSync(file, 'utf8');
    dir = tempDir();
    file = path.join(dir, 'bpbroker.json');
    await fill(1);
    writeFileSync(file, text);
    await refused(/belongs to another registry/);
  });

  it('an older file put back beside newer journals', async () => {
    const store = await openIn(dir, { historyChanges: 1, journalBytes: 0 });
    await store.mutate('a', put('1'));
    await store.rewrite();
    const old = readFileSync(file);
    // A journal for each write, so that the one that leads on from the old file is given up.
    for (let i = 0; i < 5; i++) {
      await store.mutate('b', put('2'));
      await store.rewrite();
    }
    await store.close();
    writeFileSync(file, old);
    await refused(/older file was put back/);
  });

  it('an older file put back is brought up to date where the journals reach back to it', async () => {
    const store = await openIn(dir);
    await store.mutate('a', put('1'));
    await store.rewrite();
    const old = readFileSync(file);
    await store.mutate('b', put('2'));
    await store.close();
    writeFileSync(file, old);
    const again = await openIn(dir);
    assert.equal((await again.get('b'))?.data['_str'], '2');
    await again.close();
  });

  it('services that are no object of objects', async () => {
    writeFileSync(file, '{"services": []}');
    await refused(/"services" must be an object/);
    writeFileSync(file, '{"services": {"foo": 3}}');
    await refused(/entry "foo" in "services" must be an object or a string, got a number/);
    // It may be a key whose name is misspelt.
    writeFileSync(file, '{"services": {"access_key": ["s3cret"]}}');
    await refused(/entry "access_key" in "services" must be an object or a string, got an array(?!.*s3cret)/);
    writeFileSync(file, '{"services": {}, "_registry": {"id": 5}}');
    await refused(/"_registry" must hold "id"/);
  });

  it('a registry alone, without its journals, is taken', async () => {
    await fill(2);
    for (const journal of journalsIn(dir)) rmSync(journal);
    const store = await openIn(dir);
    assert.equal(await store.count(''), 2);
    await store.mutate('n0', remove);
    await store.close();
  });
});
