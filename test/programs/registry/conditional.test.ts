import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RunningBroker, type RunResult, startBroker } from '../../support/programs/programs.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, freePort, reference } from '../support.ts';

let broker: RunningBroker;
before(async () => {
  const config = { services: {}, guarded: { _access_key: 'secret' } };
  broker = await startBroker(reference, { config });
  assert.equal((await broker.client(['ping'])).code, 0);
});
after(() => broker.kill());

/** `service ARGS` with each word given after a space, and whatever follows as it is. */
const service = (words: string, ...rest: string[]): Promise<RunResult> =>
  broker.client(['service', ...words.split(' '), ...rest]);

async function prints(stdout: string | RegExp, words: string, ...rest: string[]): Promise<void> {
  const result = await service(words, ...rest);
  assert.deepEqual([result.code, result.stderr], [0, ''], words);
  if (typeof stdout === 'string') assert.equal(result.stdout, stdout);
  else assert.match(result.stdout, stdout);
}

async function fails(code: number, message: RegExp, words: string, ...rest: string[]): Promise<void> {
  const result = await service(words, ...rest);
  assert.deepEqual([result.code, result.stdout], [code, ''], `${words}: ${result.stderr}`);
  assert.match(result.stderr, /^Fatal error: [^\n]*\n$/);
  assert.match(result.stderr, message);
}

async function revisionOf(name: string): Promise<number> {
  const { stdout } = await service('get --raw --name', name);
  return (JSON.parse(stdout) as { revision: number }).revision;
}

describe('conditional writes', () => {
  it('register --if-same succeeds where the data is equal, and there alone', async () => {
    await prints('a\n', 'register --name same --data a --if-same');
    const revision = await revisionOf('same');
    await prints('a\n', 'register --name same --data a --if-same');
    assert.equal(await revisionOf('same'), revision, 'nothing was written');
    await fails(4, /: Entry 'same' already exists\n/, 'register --name same --data b --if-same');
    await prints(/"x": 1/, 'register --name object --data', '{"x": 1, "y": {"z": [1]}}');
    await prints(/"x": 1/, 'register --if-same --name object --data', '{"y":{"z":[1]},"x":1}');
    await fails(4, /already exists/, 'register --if-same --name object --data', '{"x": 1}');
  });

  it('--if-revision writes only at that revision', async () => {
    await prints('one\n', 'replace --name r --data one --if-revision 0');
    await fails(4, /revision/, 'replace --name r --data two --if-revision 0');
    const first = await revisionOf('r');
    await prints('two\n', `replace --name r --data two --if-revision ${first}`);
    for (const command of ['replace --data x', 'update --data x', 'delete'])
      await fails(4, /revision/, `${command} --name r --if-revision ${first}`);
    await prints('two\n', 'get --name r');
    await prints('three\n', `update --name r --data three --if-revision ${await revisionOf('r')}`);
    await prints('', `delete --name r --if-revision ${await revisionOf('r')}`);
    await fails(3, /not found/, 'get --name r');
    await fails(4, /revision/, `delete --name r --if-revision ${first}`);
    await prints('new\n', 'update --name r --data new --if-revision 0');
    for (const malformed of ['-1', 'x', '1.5', '']) {
      await fails(2, /--if-revision/, 'delete --name r --if-revision', malformed);
    }
  });

  it('of many that write at the same revision, one wins', async () => {
    await prints('0\n', 'register --name counter --data 0');
    const revision = await revisionOf('counter');
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        service(`replace --name counter --if-revision ${revision} --data ${n}`),
      ),
    );
    assert.deepEqual(
      results.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b)),
      [0, 4, 4, 4, 4, 4, 4, 4],
    );
  });

  it('--ttl lets an entry expire, unless it is renewed', async (t) => {
    const client = await connectTo(broker);
    await prints('x\n', 'register --name gone --data x --ttl 1200ms');
    await prints('x\n', 'register --name kept --data x --ttl 8s');
    // Long enough for both to be there still when a busy machine lets the renewals begin late.
    await prints('x\n', 'register --name renewed --data x --ttl 8s');
    const began = performance.now();
    const renewing = setInterval(() => {
      client.register('kept', 'x', { ifSame: true }).catch(() => undefined);
      client.call('services', 'Renew', { name: 'renewed' }).catch(() => undefined);
    }, 200);
    t.after(() => clearInterval(renewing));
    await waitFor('the expiry', async () => (await service('get --name gone')).code === 3);
    await prints('x\n', 'get --name kept');
    await waitFor('more than a lifetime', () => performance.now() - began > 9500);
    await prints('x\n', 'get --name kept');
    await prints('x\n', 'get --name renewed');
    clearInterval(renewing);
    await waitFor('both expiries', async () => {
      const codes = [await service('get --name kept'), await service('get --name renewed')];
      return codes.every(({ code }) => code === 3);
    });
    await fails(2, /--ttl 'soon'/, 'replace --name gone --data x --ttl soon');
    await fails(3, /Entry 'nothing' not found/, 'get --name nothing');
    await assert.rejects(client.renew('nothing'), { code: 'not_found' });
  });
});

describe('data', () => {
  it('comes back as it was given', async () => {
    const texts = ['-', '--', '-x', '--no-data', '--data', '@file', '@', '=', '\\', '$HOME `x`', "it's"];
    texts.push(
      'Grüße ☃ 🚀 \u{10FFFF}',
      'two\nlines',
      '\ttab ',
      ' ',
      '',
      '{',
      '[1, 2]',
      '"quoted"',
      'null',
      '12',
    );
    for (const text of texts) {
      await prints(`${text}\n`, 'replace --name literal --data', text);
      await prints(`${text}\n`, 'get --name literal');
      await prints(`${text}\n`, 'replace --name literal', `--data=${text}`);
    }
  });

  it('comes from a file or standard input, without the last newline', async () => {
    const file = path.join(broker.dir, 'data');
    for (const [content, stored] of [
      ['text\n', 'text'],
      ['two\nlines\n\n', 'two\nlines\n'],
      ['windows\r\n', 'windows'],
      ['no newline', 'no newline'],
      ['', ''],
    ] as const) {
      writeFileSync(file, content);
      await prints(`${stored}\n`, 'replace --name filed --data-file', file);
      const piped = await broker.client(['service', 'replace', '--name', 'filed', '--data-file', '-'], {
        input: content,
      });
      assert.deepEqual([piped.code, piped.stdout], [0, `${stored}\n`], piped.stderr);
    }
    writeFileSync(file, '{"a": {"b": [1, "é"]}}\n');
    await prints(/, "a": \{"b": \[1, "é"\]\}\}\n$/, 'replace --name filed --data-file', file);
    await fails(2, /Cannot read --data-file/, 'replace --name filed --data-file', `${file}-none`);
    writeFileSync(file, Buffer.from([0x66, 0xff]));
    await fails(2, /not valid UTF-8/, 'replace --name filed --data-file', file);
    await fails(2, /not both/, 'replace --name filed --data x --data-file', file);
    await fails(2, /--data/, 'replace --name filed');
  });

  it('of 1 MiB is taken, more is refused and leaves the entry as it was', async () => {
    const file = path.join(broker.dir, 'large');
    const overhead = '{"_str":""}'.length;
    const longest = 'x'.repeat(1024 * 1024 - overhead);
    writeFileSync(file, longest);
    await prints(`${longest}\n`, 'replace --name large --data-file', file);
    for (const more of [1, 1024, 1024 * 1024]) {
      writeFileSync(file, `${longest}${'x'.repeat(more)}`);
      await fails(1, /: [^\n]*at most 10\d+ bytes/, 'replace --name large --data-file', file);
    }
    await prints(`${longest}\n`, 'get --name large');
    await prints('', 'delete --name large');
  });

  it('with a reserved key is refused', async () => {
    for (const key of ['last_write_ip', 'last_write_ts', '__proto__', 'constructor', 'prototype'])
      await fails(1, new RegExp(key), 'replace --name reserved --data', `{"${key}": 1}`);
    await fails(1, /constructor/, 'replace --name reserved --data', '{"a": [{"constructor": {}}]}');
    await fails(3, /not found/, 'get --name reserved');
  });
});

describe('names', () => {
  it('take 1 to 512 bytes of UTF-8 without control characters', async () => {
    for (const name of [
      'a',
      '-',
      '--name',
      'a b',
      'x'.repeat(512),
      'é'.repeat(256),
      'web/1?a=b&c#d%2F',
      '🚀',
    ]) {
      await prints('x\n', 'register --data x --name', name);
      await prints('x\n', 'get --name', name);
      await prints('', 'delete --name', name);
    }
    for (const name of ['', 'x'.repeat(513), 'é'.repeat(257), 'a\nb', 'a\u007f', '_x', '_access_key'])
      for (const command of ['register --data x', 'get', 'delete'])
        await fails(2, /^Fatal error: Invalid --name: /, `${command} --name`, name);
  });
});

describe('output', () => {
  before(async () => {
    const data = '{"host": "10.0.0.5", "port": 5432, "say": "a \\"b\\", \'c\'", "list": [1, {"a": null}]}';
    assert.equal((await service('register --name out/db --data', data)).code, 0);
    assert.equal((await service('register --name out/text --data', 'two\nlines, "x"')).code, 0);
  });

  it('--raw prints the whole answer', async () => {
    const { stdout } = await service('get --raw --name out/text');
    const { success, message, data, revision } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([success, message, typeof revision], [true, 'Success', 'number']);
    assert.equal((data as Record<string, unknown>)['_str'], 'two\nlines, "x"');
    await prints(
      /^\{"success": true, "message": "Success", "data": \{\}, "revision": \d+\}\n$/,
      'delete --raw --name none',
    );
  });

  it('--format json', async () => {
    await prints('"two\\nlines, \\"x\\""\n', 'get --name out/text --format json');
    const { stdout } = await service('get --name out/db -f json');
    const { host, list, last_write_ip } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([host, list, last_write_ip], ['10.0.0.5', [1, { a: null }], '127.0.0.1']);
    await prints('{"port": 5432, "host": "10.0.0.5"}\n', 'get --name out/db -f json --cols port,host');
    const { stdout: listed } = await service('list --prefix out/ --format json --cols name,revision');
    assert.deepEqual(
      (JSON.parse(listed) as { name: string }[]).map(({ name }) => name),
      ['out/db', 'out/text'],
    );
    await prints('[]\n', 'list --prefix none/ --format json');
  });

  it('--format csv and csv-noheader', async () => {
    const row = `"a ""b"", 'c'",5432,"[1, {""a"": null}]"`;
    await prints(`say,port,list\n${row}\n`, 'get --name out/db --format csv --cols say,port,list');
    await prints(`${row}\n`, 'get --name out/db --format csv-noheader --cols say,port,list');
    await prints('data\n"two\nlines, ""x"""\n', 'get --name out/text --format csv');
    await prints('name\nout/db\nout/text\n', 'list --prefix out/ --format csv --cols name');
  });

  it('--format env, for a shell to evaluate', async () => {
    const expected = `BPB_SAY='a "b", '\\''c'\\'''\nBPB_PORT='5432'\n`;
    await prints(expected, 'get --name out/db --format env --cols say,port');
    await prints(`BPB_DATA='two\nlines, "x"'\n`, 'get --name out/text --format env');
    const { stdout } = await broker.client(
      ['discover', '--name', 'out/db', '--port', String(broker.udpPort), '--format', 'env'],
      { address: false },
    );
    assert.equal(stdout, `BPBROKER='127.0.0.1:${broker.port}'\n`);
  });

  it('--cols in text', async () => {
    await prints('10.0.0.5\n', 'get --name out/db --cols host');
    await prints('10.0.0.5\t5432\n', 'get --name out/db --cols host,port');
    await fails(3, /No column 'nope'; there are .*host/, 'get --name out/db --cols nope');
    await prints('out/db\nout/text\n', 'list --prefix out/ --cols name');
  });

  it('of a list keeps each entry on its line', async () => {
    await prints(
      /^out\/db\t\{"last_write_ts": .*\}\nout\/text\t"two\\nlines, \\"x\\""\n$/,
      'list --prefix out/',
    );
  });
});

describe('exit codes', () => {
  it('0 to 6, each for its class', async () => {
    const code = async (...args: string[]): Promise<unknown> => (await broker.client(args)).code;
    assert.equal(await code('ping'), 0);
    assert.equal(await code('service', 'replace', '--name', 'x', '--data', '{"prototype": 1}'), 1);
    assert.equal(await code('service', 'get'), 2);
    assert.equal(await code('service', 'get', '--name', 'no-such-entry'), 3);
    await service('replace --name known --data x');
    assert.equal(await code('service', 'register', '--name', 'known', '--data', 'y'), 4);
    const keyed = await startBroker(reference, { config: { services: { _access_key: ['old', 'new'] } } });
    for (const [key, expected] of [
      ['old', 0],
      ['new', 0],
      ['none', 5],
      ['', 2],
    ] as const)
      assert.equal((await keyed.client(['service', 'list', '--access-key', key])).code, expected);
    await keyed.kill();
    const nobody = await broker.client(['-b', `127.0.0.1:${await freePort()}`, 'ping'], { address: false });
    assert.equal(nobody.code, 6);
    const none = [
      'discover',
      '--name',
      'no-such-entry',
      '--timeout',
      '300ms',
      '--port',
      String(broker.udpPort),
    ];
    assert.equal((await broker.client(none, { address: false })).code, 6);
  });
});
