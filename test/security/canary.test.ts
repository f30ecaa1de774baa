import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { skipOf, start } from '../programs/support.ts';
import {
  cleanEnv,
  type Launcher,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../support/programs/programs.ts';
import { sendRaw } from '../support/network/raw.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

/**
 * The last line of the security page. A canary key is planted in every place for a key. It appears in no log,
 * no error, no command line (when given by file or environment), no file readable by others, no answer and no
 * metric.
 */

/** What all canaries hold and nothing else does. */
const mark = `cAnArY${randomBytes(6).toString('hex')}`;
const canary = (place: string): string => `${mark}-${place.replaceAll(/\W/g, '')}`;
const right = canary('right');

/** How a place is given a key: options, variables, or a file that only its owner reads. */
interface Given {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the user chose a place that everyone on the host can see. */
  readonly visible?: true;
  /** The exit code of a wrong key there; default 5. */
  readonly refused?: number;
}

const access = { BPBROKER_ACCESS_KEY: right };

/** Where a client may be given a key. A new place is a new line. */
const clientPlaces: Readonly<Record<string, (key: string, file: string) => Given>> = {
  '--access-key': (key) => ({ args: ['--access-key', key], visible: true }),
  '-a': (key) => ({ args: [`-a${key}`], visible: true }),
  BPBROKER_ACCESS_KEY: (key) => ({ env: { BPBROKER_ACCESS_KEY: key } }),
  '--access-key-file': (_, file) => ({ args: ['--access-key-file', file] }),
  // With a wrong discovery key the broker cannot prove its identity.
  BPBROKER_DISCOVER_KEY: (key) => ({ env: { ...access, BPBROKER_DISCOVER_KEY: key }, refused: 8 }),
  '--discover-key-file': (_, file) => ({ env: access, args: ['--discover-key-file', file], refused: 8 }),
};

/** Where a broker's configuration may hold a key. A new place is a new line. */
const configured = {
  services: { _access_key: [right, canary('listed')] },
  ossec: { _access_key: canary('ossec') },
  discover: { _access_key: [right, canary('another discovery key')] },
};

/** Where a request may carry a key. A new place is a new line. */
const requestPlaces: Readonly<Record<string, (path: string, key: string) => string>> = {
  'Bearer header': (at, key) => request('POST', at, `Authorization: Bearer ${key}\r\n`, ''),
  'malformed header': (at, key) => request('GET', at, `Authorization: Basic ${key}\r\n`, ''),
  query: (at, key) => request('GET', `${at}?access_key=${key}&name=x&data=y`, '', ''),
  form: (at, key) => request('POST', at, form, `access_key=${key}&name=x`),
  body: (at, key) => request('POST', at, json, `{"access_key": "${key}", "name": "x"}`),
  'broken body': (at, key) => request('POST', at, json, `{"access_key": "${key}`),
  'misspelt parameter': (at, key) => request('GET', `${at}?acces_key=${key}`, '', ''),
  'foreign page': (at, key) => request('GET', `${at}?access_key=${key}`, 'Origin: https://x\r\n', ''),
};
const form = 'Content-Type: application/x-www-form-urlencoded\r\n';
const json = 'Content-Type: application/json\r\n';
const endpoints = ['/', '/healthz', '/readyz', '/metrics', '/openapi.json', '/discover', '/nowhere'];
const calls = ['/services/List', '/services/Get', '/services/Nope', '/ossec/AddAgent', '/ping/Ping', '/x/y'];

function request(method: string, at: string, header: string, body: string): string {
  return `${method} ${at} HTTP/1.1\r\nHost: x\r\n${header}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
}

const unmasked = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
const needs = process.platform === 'linux' ? false : 'looks at /proc: needs Linux';

for (const launcher of launchers) {
  // What renders a line is the same everywhere.
  for (const format of launcher.name === 'node24' ? ['text', 'json'] : ['text']) {
    it(
      `row "canary", row "logs": a key is seen nowhere, on ${launcher.name}, with the log as ${format}`,
      { skip: skipOf(launcher) || needs },
      async () => {
        const dir = tempDir();
        const said: [string, string][] = [];
        const broker = await startBroker(
          { ...launcher, bpbroker: [...unmasked, ...launcher.bpbroker] },
          { dir, config: configured, args: ['--log-level', 'debug', '--log-format', format] },
        );
        for (const [name, give] of Object.entries(clientPlaces))
          said.push(...(await useClient(launcher, broker, dir, name, give)));
        said.push(...(await useRequests(broker)));
        await broker.stop();
        said.push(['log', broker.stderr()]);
        assert.match(broker.stderr(), /wrong access key/, 'the log has something to say');
        for (const [what, text] of said) assert.ok(!text.includes(mark), `${what}: ${text}`);
        assert.deepEqual(openFiles(dir), []);
        assert.ok(readFileSync(broker.configFile, 'utf8').includes(mark), 'it is still configured');
      },
    );
  }
}

/** Commands of a client with a right and a wrong key in one place; returns what was printed. */
async function useClient(
  launcher: Launcher,
  broker: RunningBroker,
  dir: string,
  place: string,
  give: (key: string, file: string) => Given,
): Promise<[string, string][]> {
  const said: [string, string][] = [];
  const file = path.join(dir, `key-${place.replaceAll(/\W/g, '')}`);
  const client = (
    key: string,
  ): { command: string[]; options: { env: Record<string, string>; cwd: string } } => {
    writeFileSync(file, `${key}\n`, { mode: 0o600 });
    const { args = [], env = {} } = give(key, file);
    const broker_ = ['--bpbroker', `127.0.0.1:${broker.port}`];
    return {
      command: [...unmasked, ...launcher.bpclient, ...broker_, ...args],
      options: { env: cleanEnv(path.join(dir, 'home'), env), cwd: dir },
    };
  };
  const use = async (key: string, ...words: string[]): Promise<number | undefined> => {
    const { command, options } = client(key);
    const { code, stdout, stderr } = await run([...command, ...words], options);
    said.push([`${words.join(' ')}, ${place}`, stdout + stderr]);
    return code;
  };
  assert.equal(await use(right, 'service', 'list', '--verbose'), 0);
  assert.equal(await use(right, 'service', 'get', '--name', '_x'), 2);
  const { args = [], visible = false, refused = 5 } = give(right, file);
  assert.equal(await use(canary(`wrong ${place}`), 'service', 'list', '--verbose'), refused);
  if (visible) {
    // The parser's own errors: given twice, and misspelt.
    assert.equal(await use(right, ...args, 'ping'), 2);
    assert.equal(await use(right, 'ping', `--acess-key=${right}`), 2);
    return said;
  }
  const { command, options } = client(right);
  const waiting = start([...command, 'service', 'get', '--name', 'never', '--wait'], options);
  await waitFor('a command line', () => commandLineOf(waiting.child.pid).includes('never'));
  for (const [pid, line] of commandLines()) assert.ok(!line.includes(mark), `process ${pid} shows: ${line}`);
  await waiting.stop('SIGKILL');
  said.push([`service get --wait, ${place}`, waiting.stdout() + waiting.stderr()]);
  return said;
}

/**
 * Every endpoint and call with a right key in every place of a request, then wrong ones; returns the answers.
 */
async function useRequests(broker: RunningBroker): Promise<[string, string][]> {
  const said: [string, string][] = [];
  const send = async (place: string, at: string, key: string): Promise<void> => {
    const { text } = await sendRaw(broker.port, requestPlaces[place]?.(at, key) ?? '');
    assert.notEqual(text, '', `${place} at ${at}`);
    said.push([`answer to ${place} at ${at}`, text]);
  };
  for (const place of Object.keys(requestPlaces))
    for (const at of [...endpoints, ...calls]) await send(place, at, right);
  assert.ok(!said.some(([, text]) => text.startsWith('HTTP/1.1 429 ')));
  for (const place of Object.keys(requestPlaces))
    for (const at of ['/services/List', '/ossec/AddAgent']) await send(place, at, canary(place));
  assert.ok(said.some(([, text]) => text.startsWith('HTTP/1.1 429 ')));
  return said;
}

/** The files under `dir` that others may read and that hold a canary. */
function openFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => path.join(item.parentPath, item.name))
    .filter((file) => (statSync(file).mode & 0o004) !== 0)
    .filter((file) => readFileSync(file, 'latin1').includes(mark));
}

function commandLineOf(pid: number | undefined): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

/** Of every process there is. */
function commandLines(): [string, string][] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      return [[pid, commandLineOf(Number(pid))]];
    } catch {
      return [];
    }
  });
}

describe('row "canary": a key in a configuration', () => {
  const [launcher] = launchers.filter(({ available }) => available === true).toReversed();
  const bpbroker = async (dir: string, args: readonly string[], input = ''): Promise<string> => {
    const words = launcher?.bpbroker ?? [];
    const { stdout, stderr } = await run([...words, ...args], { env: cleanEnv(dir), cwd: dir, input });
    return stdout + stderr;
  };

  it('is not repeated by the errors about a file that is wrong', async () => {
    const key = canary('file');
    const texts = [
      `{"services": {"_access_key": ${key}}}`,
      `{"services": {"_access_key": "${key}}}`,
      key,
      `["${key}"]`,
      `{"services": {"_access_key": {"x": "${key}"}}}`,
      `{"services": {"_access_key": ["${key}", 5]}}`,
      `{"services": {"_access_key": "sha256:${key}"}}`,
      `{"discover": {"_access_key": ["${key}", ""]}}`,
      `{"api": {"listen_port": "x"}, "services": {"_access_key": "${key}"}}`,
    ];
    for (const text of texts) {
      const dir = tempDir();
      writeFileSync(path.join(dir, 'b.json'), text);
      const printed = await bpbroker(dir, ['start', '--config', 'b.json', '--listen-port', '0']);
      assert.match(printed, /^Fatal error: /, text);
      assert.ok(!printed.includes(mark), printed);
      const added = await bpbroker(dir, ['configure', '--config', 'new.json'], text);
      assert.ok(!added.includes(mark), added);
    }
  });

  it('is not repeated by configure, and lands in a file for its owner alone', async () => {
    const dir = tempDir();
    const add = (key: string): Promise<string> =>
      bpbroker(dir, ['configure', '--config', 'b.json'], `{"services": {"_access_key": "${canary(key)}"}}`);
    assert.equal(await add('one'), 'added services._access_key\n');
    assert.match(await add('two'), /^kept services\._access_key/);
    assert.ok(readFileSync(path.join(dir, 'b.json'), 'utf8').includes(canary('one')));
    assert.deepEqual(openFiles(dir), []);
  });
});
