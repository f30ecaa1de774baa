import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { tempDir } from '../../support/temp.ts';
import { reference, skipOf } from '../support.ts';

/** Row "keys that guard nothing" of the security page: how a key is read, and what is refused at start. */

const key = 'a1b2c3d4'.repeat(8);
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');

/** As a key file may come out of an editor or a shell. */
const readable: Readonly<Record<string, string | Uint8Array>> = {
  'no line end': key,
  'a newline': `${key}\n`,
  "Windows' line end": `${key}\r\n`,
  'several line ends': `${key}\r\n\n`,
  'a byte order mark': `\uFEFF${key}\r\n`,
};
const unreadable: Readonly<Record<string, [content: string | Uint8Array, words: RegExp]>> = {
  empty: ['', /is empty/],
  'a newline alone': ['\r\n', /is empty/],
  'a byte order mark alone': ['\uFEFF', /is empty/],
  'UTF-16, little-endian': [utf16(`\uFEFF${key}\r\n`), /is UTF-16: expected UTF-8/],
  'UTF-16, big-endian': [utf16(`\uFEFF${key}`).swap16(), /is UTF-16: expected UTF-8/],
  'UTF-16 without its mark': [utf16(key), /is UTF-16: expected UTF-8/],
  Latin1: [Buffer.from('schl\u00fcssel', 'latin1'), /is not valid UTF-8/],
};

let guarded: RunningBroker;
let keyed: RunningBroker;
before(async () => {
  guarded = await startBroker(reference, { config: { services: { _access_key: key } } });
  keyed = await startBroker(reference, { config: { discover: { _access_key: key } } });
});

for (const launcher of launchers) {
  describe(`a key on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    const command = (
      broker: RunningBroker,
      args: readonly string[],
      env: Readonly<Record<string, string>> = {},
    ): Promise<RunResult> => {
      const home = tempDir();
      const words = [...launcher.bpclient, '-b', `127.0.0.1:${broker.port}`, ...args];
      return run(words, { env: cleanEnv(home, env), cwd: home });
    };
    const list = ['service', 'list'];
    const file = (content: string | Uint8Array): string => {
      const at = path.join(tempDir(), 'key');
      writeFileSync(at, content);
      return at;
    };
    const passes = async (result: Promise<RunResult>, what: string): Promise<void> => {
      const { code, stderr } = await result;
      assert.equal(code, 0, `${what}: ${stderr}`);
    };
    const refused = async (result: Promise<RunResult>, source: string, words: RegExp): Promise<void> => {
      const { code, stdout, stderr } = await result;
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, /^Fatal error: [^\n]*\n$/);
      assert.match(stderr, words);
      assert.ok(stderr.includes(source), stderr);
      assert.ok(!stderr.includes(key), stderr);
    };

    it('row "keys that guard nothing": one rule reads it, from file, variable and option', async () => {
      for (const [what, content] of Object.entries(readable)) {
        const text = String(content);
        await passes(command(guarded, [...list, '--access-key-file', file(content)]), `file, ${what}`);
        await passes(command(guarded, list, { BPBROKER_ACCESS_KEY: text }), `variable, ${what}`);
        await passes(command(guarded, [...list, '--access-key', text]), `option, ${what}`);
        await passes(command(keyed, [...list, '--discover-key-file', file(content)]), `discovery, ${what}`);
        await passes(command(keyed, list, { BPBROKER_DISCOVER_KEY: text }), `its variable, ${what}`);
      }
    });

    it('row "keys that guard nothing": one that cannot be read is not none, and its source is named', async () => {
      for (const [content, words] of Object.values(unreadable)) {
        const at = file(content);
        for (const option of ['--access-key-file', '--discover-key-file'])
          await refused(command(guarded, [...list, option, at]), `${option} ${at}`, words);
        if (typeof content !== 'string') continue;
        for (const variable of ['BPBROKER_ACCESS_KEY', 'BPBROKER_DISCOVER_KEY'])
          await refused(command(guarded, list, { [variable]: content }), variable, words);
        await refused(command(guarded, [...list, '--access-key', content]), '--access-key', words);
      }
    });

    it(
      'row "keys that guard nothing": bytes of a variable or an option that are not UTF-8 are no key',
      { skip: process.platform === 'win32' ? 'Windows has no sh' : false },
      async () => {
        // A shell leaves the zeros of UTF-16 out.
        for (const bytes of ['schl\\374ssel', '\\377\\376a1b2', 'a1b2\\300\\200', '\\355\\240\\200']) {
          const home = tempDir();
          const typed = async (script: string): Promise<RunResult> => {
            const words = [...launcher.bpclient, '-b', `127.0.0.1:${guarded.port}`, ...list];
            const set = `key="$(printf '${bytes}')"; ${script}`;
            return run(['sh', '-c', set, ...words], { env: cleanEnv(home), cwd: home });
          };
          for (const variable of ['BPBROKER_ACCESS_KEY', 'BPBROKER_DISCOVER_KEY'])
            await refused(typed(`${variable}="$key" exec "$0" "$@"`), variable, /is not valid UTF-8/);
          // Deno itself refuses such an argument.
          if (launcher.name !== 'deno')
            await refused(typed('exec "$0" "$@" --access-key "$key"'), '--access-key', /is not valid UTF-8/);
        }
      },
    );

    it('a fingerprint is read by the same rule', async () => {
      const pinned = (text: string): Promise<RunResult> =>
        command(keyed, ['ping', '--data', 'x'], { BPBROKER_FINGERPRINT: text });
      for (const text of [keyed.fingerprint, `${keyed.fingerprint}\r\n`, `\uFEFF${keyed.fingerprint}\n`])
        assert.deepEqual([(await pinned(text)).code, (await pinned(text)).stderr], [0, ''], text);
      await refused(pinned(''), 'BPBROKER_FINGERPRINT', /is empty/);
      await refused(pinned('\n'), 'Invalid BPBROKER_FINGERPRINT', /expected sha256:/);
    });

    it('a file that is a folder, and one that is not there, are named in words', async () => {
      const none = path.join(tempDir(), 'none');
      await refused(
        command(guarded, [...list, '--access-key-file', none]),
        none,
        /there is no such file .*\[ENOENT\]/,
      );
      const folder = tempDir();
      await refused(
        command(guarded, [...list, '--access-key-file', folder]),
        folder,
        /it is a folder: .*\[EISDIR\]/,
      );
    });
  });
}

describe('a configuration whose key guards nothing', () => {
  const guardless: Readonly<Record<string, [config: object, names: string]>> = {
    'an empty list': [{ ossec: { _access_key: [] } }, 'ossec'],
    'a list of nothing': [{ ossec: { _access_key: [''] } }, 'ossec'],
    'an empty one among others': [{ ossec: { _access_key: ['x', ''] } }, 'ossec'],
    'of a built-in module': [{ services: { _access_key: [] } }, 'services'],
    'white space': [{ ossec: { _access_key: ' \n' } }, 'ossec'],
    'a letter less': [{ ossec: { _acces_key: 'x' } }, 'ossec'],
    'no underscore': [{ ossec: { access_key: 'x' } }, 'ossec'],
    'another mark': [{ ossec: { '_access-key': 'x' } }, 'ossec'],
    'another case': [{ ossec: { _Access_Key: 'x' } }, 'ossec'],
    'two letters swapped': [{ ossec: { _acecss_key: 'x' } }, 'ossec'],
    'plural, as a list': [{ ossec: { _access_keys: ['x'] } }, 'ossec'],
    'misspelt beside entries': [{ services: { _acces_key: 'x' } }, 'services'],
    'misspelt as an entry': [{ services: { access_key: 'x' } }, 'services'],
    'misspelt for discovery': [{ discover: { access_key: key } }, 'discover'],
    'beside the modules': [{ _access_key: 'x', ossec: {} }, '_access_key'],
    'a list beside the modules': [{ _access_key: ['x'], ossec: {} }, '_access_key'],
    'in what is no module': [{ api: { listen_port: 0, _access_key: 'x' } }, 'api'],
    'a module that is a list': [{ ossec: ['_access_key', 'x'] }, 'ossec'],
  };
  for (const launcher of launchers) {
    it(
      `row "keys that guard nothing": does not start a broker on ${launcher.name}`,
      { skip: skipOf(launcher) },
      async () => {
        const dir = tempDir();
        const file = path.join(dir, 'bpbroker.json');
        for (const [what, [config, names]] of Object.entries(guardless)) {
          const text = JSON.stringify({ api: { listen_port: 0 }, ...config });
          writeFileSync(file, text);
          const start = run([...launcher.bpbroker, 'start', '--config', file], {
            env: cleanEnv(dir),
            cwd: dir,
            timeoutMs: 10_000,
          });
          const { code, stderr } = await start.catch((error: unknown) => {
            throw new Error(`${what}: it started`, { cause: error });
          });
          assert.equal(code, 1, what);
          assert.match(
            stderr,
            new RegExp(`^Fatal error: [^\\n]*bpbroker\\.json: option ${names}[^\\n]*\\n$`),
            what,
          );
          assert.ok(!stderr.includes(key), what);
        }
      },
    );
  }

  it('is said where its module does not exist, and nearly has the name of a part that is open', async () => {
    const config = {
      service: { _access_key: key },
      Discover: { _access_key: key },
      metrics: { _access_key: key },
    };
    const other = { ossec: { _access_key: key }, pings: { _access_key: key } };
    const dir = tempDir();
    writeExtensions(dir, { 'pings.mjs': 'export const Do = () => "done";' });
    const broker = await startBroker(reference, { dir, config: { ...config, ...other } });
    const said = [
      ...broker.stderr().matchAll(/the key of '(\w+)' guards nothing[^\n]*; did you mean '(\w+)'/g),
    ];
    assert.deepEqual(
      said.map(([, name, near]) => [name, near]),
      [
        ['service', 'services'],
        ['Discover', 'discover'],
        ['metrics', '_metrics'],
      ],
      broker.stderr(),
    );
    assert.ok(!broker.stderr().includes(key));
    await broker.kill();
  });

  it('configure does not add it either', async () => {
    const dir = tempDir();
    const file = path.join(dir, 'c.json');
    for (const added of [{ ossec: { acces_key: 'x' } }, { services: { access_key: 'x' } }]) {
      const command = [...reference.bpbroker, 'configure', '--config', file];
      const { code, stderr } = await run(command, {
        env: cleanEnv(dir),
        cwd: dir,
        input: JSON.stringify(added),
      });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /did you mean "_access_key"/);
    }
  });

  it('"" asks for no key, as in files of the original, and lets other words be', async () => {
    const broker = await startBroker(reference, {
      config: {
        services: { _access_key: '', access_key: { last_write_ts: 1, last_write_ip: '', _str: 'an entry' } },
        ossec: { _access_key: '', access_key: 'of a cloud', note: 1 },
        other: { access_key_id: 'of a cloud', _timeout_secs: 5 },
      },
    });
    const { code, stdout, stderr } = await broker.client(['service', 'get', '--name', 'access_key']);
    assert.deepEqual([code, stdout], [0, 'an entry\n'], stderr);
    await broker.kill();
  });
});
