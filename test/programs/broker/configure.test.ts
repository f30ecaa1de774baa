import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { bpbroker, reference } from '../support.ts';

type Document = Record<string, Record<string, unknown>>;
const read = (file: string): Document => JSON.parse(readFileSync(file, 'utf8')) as Document;

const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

describe('configure', () => {
  it('adds what is new from standard input and from a file, and keeps and names what exists', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'x.json');
    const first = {
      ossec: { _access_key: 's3cret-1', manager: '10.0.0.9' },
      services: { foo: { _str: 'bar' } },
    };
    const added = await bpbroker(dir, ['configure', '--config', file], JSON.stringify(first));
    assert.equal(added.code, 0, added.stderr);
    assert.equal(added.stdout, 'added ossec\nadded services.foo\n');
    assert.equal(mode(file), '600');
    const second = path.join(dir, 'second.json');
    const more = {
      ossec: { _access_key: 's3cret-2', port: 1514 },
      services: { foo: { _str: 'x' }, db: { host: 'h' } },
    };
    writeFileSync(second, JSON.stringify(more));
    const kept = await bpbroker(dir, ['configure', '-c', file, '--config-file', second]);
    assert.equal(kept.code, 0, kept.stderr);
    assert.equal(kept.stdout, 'added ossec.port\nadded services.db\n');
    assert.match(kept.stderr, /^kept ossec\._access_key: [^\n]*\nkept services\.foo: [^\n]*\n$/);
    for (const secret of ['s3cret-1', 's3cret-2']) assert.ok(!(kept.stdout + kept.stderr).includes(secret));
    const { ossec, services } = read(file);
    assert.deepEqual(ossec, { _access_key: 's3cret-1', manager: '10.0.0.9', port: 1514 });
    assert.equal((services?.['foo'] as Document | undefined)?.['_str'], 'bar');
    const again = await bpbroker(dir, ['configure', '-c', file, '--config-file', second]);
    assert.deepEqual([again.code, again.stdout], [0, '']);
    assert.match(again.stderr, /nothing to add/);
  });

  it('entries and keys that it added are there when the broker starts', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'bpbroker.json');
    const addition = { services: { _access_key: 'k', foo: { _str: 'bar' }, obj: { a: [1] } } };
    assert.equal((await bpbroker(dir, ['configure', '--config', file], JSON.stringify(addition))).code, 0);
    const broker = await startBroker(reference, { dir, args: ['--listen-port', '0'] });
    assert.equal((await broker.client(['service', 'get', '--name', 'foo'])).code, 5);
    const get = ['service', 'get', '-a', 'k', '--name'];
    assert.equal((await broker.client([...get, 'foo'])).stdout, 'bar\n');
    assert.match((await broker.client([...get, 'obj'])).stdout, /"a": \[1\]/);
    const refused = await bpbroker(dir, ['configure', '--config', file], '{"more": {}}');
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    assert.match(
      refused.stderr,
      new RegExp(`^Fatal error: Another broker \\(pid ${broker.pid}\\) is using `),
    );
    await broker.stop();
    assert.equal(
      (await bpbroker(dir, ['configure', '--config', file], '{"more": {}}')).stdout,
      'added more\n',
    );
    assert.equal(read(file)['api']?.['listen_port'], 20_443, 'options of one run are not written');
  });

  it('refuses what is malformed, with line and column, and changes nothing', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'x.json');
    const content = '{"services": {"foo": {"_str": "bar"}}, "mine": {"x": 1}}';
    writeFileSync(file, content);
    const bad: [string, RegExp][] = [
      ['{\n  "a": {},\n  "b": oops\n}', /: standard input:3:8: malformed JSON: /],
      ['{"a": {}', /:1:9: malformed JSON: /],
      ['', /:1:1: malformed JSON: /],
      ['[]', /expected a JSON object/],
      ['{"services": {"_x": 1, "a\\nb": {"_str": "x"}}}', /control character/],
      ['{"services": {"foo2": 1}}', /services\.foo2: expected an object/],
      ['{"api": {"listen_port": "high"}}', /listen_port/],
      ['{"mod": {"_access_key": 5}}', /mod\._access_key: expected a string or a list of strings/],
      ['{"_store": {"driver": "disk"}}', /_store\.driver: expected 'file' or 'etcd'/],
      ['{"_audit": {"to": "syslog"}}', /_audit\.to: expected 'file' or 'log'/],
      ['{"_audit": {}}', /_audit\.to is missing: expected 'file' or 'log'/],
      [
        '{"_audit": {"to": "file", "max_bytes": 1}}',
        /_audit\.max_bytes: expected a number of bytes from 4096/,
      ],
      ['{"_audit": {"to": "log", "required": true}}', /_audit\.required needs _audit\.to: 'file'/],
      ['{"_store": {"driver": "etcd"}}', /_store\.endpoints is missing/],
    ];
    for (const [input, message] of bad) {
      const { code, stdout, stderr } = await bpbroker(dir, ['configure', '--config', file], input);
      assert.deepEqual([code, stdout], [1, ''], `${input}: ${stderr}`);
      assert.match(stderr, /^Fatal error: [^\n]*\n$/);
      assert.match(stderr, message);
      assert.equal(readFileSync(file, 'utf8'), content, input);
    }
    assert.deepEqual(readdirSync(dir), ['x.json']);
    assert.equal((await bpbroker(dir, ['configure', '--config-file', path.join(dir, 'none')])).code, 2);
  });
});

describe('the configuration file', () => {
  it('that is damaged is refused with line and column, and left byte for byte', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'bpbroker.json');
    const broker = await startBroker(reference, { dir, config: { services: {} } });
    await broker.client(['service', 'register', '--name', 'foo', '--data', 'bar']);
    await broker.stop();
    const good = readFileSync(file, 'utf8');
    for (const damaged of [good.slice(0, -20), good.replace('"foo"', '"foo'), good.replace('"bar"', 'bar')]) {
      writeFileSync(file, damaged);
      for (const args of [
        ['start', '--config', file],
        ['configure', '--config', file],
      ]) {
        const { code, stdout, stderr } = await bpbroker(dir, args, '{}');
        assert.deepEqual([code, stdout], [1, ''], stderr);
        assert.match(stderr, /^Fatal error: [^\n]*bpbroker\.json:\d+:\d+: malformed JSON: [^\n]*\n$/);
        assert.equal(readFileSync(file, 'utf8'), damaged);
      }
    }
    // What is JSON, but not what the broker wrote: an entry that was changed behind its back is never taken silently.
    const tampered = good.replace('"bar"', '"tampered"');
    writeFileSync(file, tampered);
    const refused = await bpbroker(dir, ['start', '--config', file]);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /checksum[^\n]*To accept [^\n]* remove the "checksum" line under "_registry"\n$/,
    );
    assert.equal(readFileSync(file, 'utf8'), tampered);
    assert.match(tampered, /\n *"checksum": .*\n/);
    writeFileSync(file, tampered.replace(/\n *"checksum": .*/, ''));
    const accepted = await startBroker(reference, { dir });
    assert.equal((await accepted.client(['service', 'get', '--name', 'foo'])).stdout, 'tampered\n');
    await accepted.stop();
    // Options may be edited as one likes.
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('"services": {', '"services": {\n"_access_key": "k",'),
    );
    const keyed = await startBroker(reference, { dir });
    assert.equal((await keyed.client(['service', 'get', '--name', 'foo'])).code, 5);
    assert.equal((await keyed.client(['service', 'get', '--name', 'foo', '-a', 'k'])).code, 0);
    await keyed.kill();
  });

  it('keeps unknown keys, and spells out the defaults', async () => {
    const mine = { nested: { list: [1, 'ü'] } };
    const config = { mine, api: { listen_port: 0, mine }, services: { _mine: mine } };
    const broker = await startBroker(reference, { config });
    await broker.stop();
    const written = read(broker.configFile);
    assert.deepEqual([written['mine'], written['api']?.['mine']], [mine, mine]);
    assert.deepEqual(written['services']?.['_mine'], mine);
    assert.deepEqual(written['_config'], { backup_freq_secs: 3600, backup_retain_n: 24 });
  });

  it('is used by one broker: a second one is refused, naming the first', async () => {
    const broker = await startBroker(reference);
    const start2 = ['start', '--config', broker.configFile, '--listen-port', '0'];
    const second = await bpbroker(broker.dir, start2);
    assert.equal(second.code, 4);
    assert.match(
      second.stderr,
      new RegExp(`^Fatal error: A broker \\(pid ${broker.pid}\\) already runs with [^\n]*\n$`),
    );
    assert.equal((await broker.client(['ping', '--data', 'x'])).stdout, 'x\n');
    await broker.kill();
    await (await startBroker(reference, { dir: broker.dir })).stop();
  });
});
