import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { entryResult, listResult } from '../../src/cli/output/entry-output.ts';
import { render } from '../../src/cli/output/output.ts';
import { entryOf } from '../../src/client/registry/answers.ts';

const stamps = { last_write_ts: 1420068290, last_write_ip: '127.0.0.1' };
const text = entryOf('foo', { success: true, revision: 1, data: { ...stamps, _str: 'bar' } });
const object = entryOf('db', {
  success: true,
  revision: 2,
  data: { ...stamps, host: 'it\'s, "here"', tags: ['a', 'b'] },
});

describe('an entry', () => {
  it('is printed as text as in the original: a string as it is, an object led by its stamps', () => {
    assert.deepEqual(render(entryResult(text), 'text', undefined), ['bar']);
    assert.deepEqual(render(entryResult(object), 'text', undefined), [
      String.raw`{"last_write_ts": 1420068290, "last_write_ip": "127.0.0.1", "host": "it's, \"here\"", "tags": ["a", "b"]}`,
    ]);
  });

  it('is printed as JSON that parses, a string too', () => {
    assert.equal(render(entryResult(text), 'json', undefined)[0], '"bar"');
    assert.deepEqual(JSON.parse(render(entryResult(object), 'json', ['tags'])[0] ?? ''), {
      tags: ['a', 'b'],
    });
  });

  it('is printed as CSV by RFC 4180, with and without its header', () => {
    const row = String.raw`1420068290,127.0.0.1,"it's, ""here""","[""a"", ""b""]"`;
    assert.deepEqual(render(entryResult(object), 'csv', undefined), [
      'last_write_ts,last_write_ip,host,tags',
      row,
    ]);
    assert.deepEqual(render(entryResult(object), 'csv-noheader', ['last_write_ts']), ['1420068290']);
  });

  it('is printed as assignments that a shell reads back to the letter', () => {
    const lines = render(entryResult(object), 'env', undefined);
    const shown = execFileSync('sh', ['-c', `${lines.join('\n')}\nprintf %s "$BPB_HOST"`], {
      encoding: 'utf8',
    });
    assert.equal(shown, 'it\'s, "here"');
  });

  it('cannot set a variable that the shell lives by', () => {
    const evil = entryOf('x', { success: true, data: { ...stamps, PATH: '/evil', 'a;rm -rf': '$(reboot)' } });
    const lines = render(entryResult(evil), 'env', undefined);
    assert.ok(
      lines.every((line) => /^BPB_[A-Z0-9_]+='/.test(line)),
      lines.join('\n'),
    );
  });

  it('has no two columns in one variable, and none without a name', () => {
    const entry = (data: object): ReturnType<typeof entryResult> =>
      entryResult(entryOf('x', { success: true, data: { ...stamps, ...data } }));
    for (const [data, named] of [
      [{ 'a.b': 1, 'a-b': 2 }, /the columns 'a\.b' and 'a-b': both would be the variable BPB_A_B; /],
      [{ Host: 1, host: 2 }, /the columns 'Host' and 'host': both would be the variable BPB_HOST; /],
      [{ é: 1, è: 2 }, /the columns 'é' and 'è': both would be the variable BPB__; /],
      [{ '': 1 }, /the column '': its variable would have no name/],
      [{ 'LAST_WRITE-TS': 1 }, /the columns 'last_write_ts' and 'LAST_WRITE-TS'/],
    ] as const) {
      assert.throws(() => render(entry(data), 'env', undefined), { code: 'usage', message: named });
    }
    assert.deepEqual(render(entry({ 'a.b': 1, 'a-b': 2, '': 3 }), 'env', ['a-b']), ["BPB_A_B='2'"]);
    assert.deepEqual(render(entry({ a: 1 }), 'env', ['a', 'a']), ["BPB_A='1'"]);
  });

  it('has its name, revision and data as columns that are asked for, unless its data has such a member', () => {
    const cols = ['name', 'revision', 'data'];
    assert.deepEqual(render(entryResult(text), 'csv-noheader', [...cols, 'last_write_ip']), [
      'foo,1,bar,127.0.0.1',
    ]);
    assert.deepEqual(render(entryResult(object), 'json', ['name', 'revision']), [
      '{"name": "db", "revision": 2}',
    ]);
    const own = entryOf('x', { success: true, revision: 9, data: { ...stamps, name: 'mine' } });
    assert.deepEqual(render(entryResult(own), 'env', ['name', 'revision']), [
      "BPB_NAME='mine'",
      "BPB_REVISION='9'",
    ]);
    assert.deepEqual(
      render(entryResult(object), 'csv', undefined)[0],
      'last_write_ts,last_write_ip,host,tags',
    );
  });

  it('is printed without its stamps where the data alone is asked for', () => {
    const dataOnly = { dataOnly: true };
    const shown = String.raw`{"host": "it's, \"here\"", "tags": ["a", "b"]}`;
    assert.deepEqual(render(entryResult(object, dataOnly), 'text', undefined), [shown]);
    assert.deepEqual(render(entryResult(object, dataOnly), 'json', undefined), [shown]);
    assert.deepEqual(render(entryResult(object, dataOnly), 'csv', undefined)[0], 'host,tags');
    assert.deepEqual(render(entryResult(object), 'text', ['data']), [shown]);
    assert.throws(() => render(entryResult(object, dataOnly), 'text', ['last_write_ts']), {
      code: 'not_found',
    });
    assert.deepEqual(render(listResult([object], dataOnly), 'text', undefined), [`db\t${shown}`]);
    assert.deepEqual(render(listResult([object], dataOnly), 'csv', undefined)[0], 'name,data');
  });

  it('prints chosen columns as text, and names the ones there are when one is unknown', () => {
    assert.deepEqual(render(entryResult(object), 'text', ['host', 'last_write_ip']), [
      'it\'s, "here"\t127.0.0.1',
    ]);
    assert.throws(() => render(entryResult(object), 'text', ['nope']), {
      code: 'not_found',
      message: /No column 'nope'; there are/,
    });
  });
});

describe('a list', () => {
  it('is a line each, whatever the data holds', () => {
    const odd = entryOf('odd', { success: true, revision: 3, data: { ...stamps, _str: 'two\nlines' } });
    assert.deepEqual(render(listResult([text, odd]), 'text', undefined), [
      'foo\tbar',
      String.raw`odd	"two\nlines"`,
    ]);
  });

  it('that is empty prints nothing as text and an empty list as JSON', () => {
    assert.deepEqual(render(listResult([]), 'text', undefined), []);
    assert.deepEqual(render(listResult([]), 'json', undefined), ['[]']);
  });

  it('that is empty is the header alone as CSV, of the columns that a list has', () => {
    const all = 'name,data,revision,last_write_ts,last_write_ip';
    assert.deepEqual(render(listResult([]), 'csv', undefined), [all]);
    assert.deepEqual(render(listResult([], { dataOnly: true }), 'csv', undefined), ['name,data']);
    assert.deepEqual(render(listResult([]), 'csv', ['name', 'revision']), ['name,revision']);
    assert.deepEqual(render(listResult([]), 'csv-noheader', undefined), []);
    const [header] = render(listResult([text]), 'csv', undefined);
    assert.equal(header, all);
  });

  it('that is empty, and whose columns are not known, prints nothing as CSV', () => {
    assert.deepEqual(render({ text: [], json: [], rows: [] }, 'csv', undefined), []);
  });
});
