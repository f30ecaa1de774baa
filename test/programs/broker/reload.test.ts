import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import { makeCertificate } from '../../support/network/certificate.ts';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, reference, skipOf } from '../support.ts';

type Options = Record<string, Record<string, unknown>>;

const noSignal = process.platform === 'win32' ? 'Windows has no SIGHUP' : false;
const read = (broker: RunningBroker): Options =>
  JSON.parse(readFileSync(broker.configFile, 'utf8')) as Options;

/** Edits the options as an editor does: the file is replaced. */
function edit(broker: RunningBroker, change: (options: Options) => void): void {
  const options = read(broker);
  change(options);
  writeFileSync(`${broker.configFile}~`, JSON.stringify(options, null, 2), { mode: 0o600 });
  renameSync(`${broker.configFile}~`, broker.configFile);
}

function count(broker: RunningBroker, text: string): number {
  return broker.stderr().split(text).length - 1;
}

/** Sends SIGHUP and waits until the log says what became of it. */
async function reload(broker: RunningBroker, outcome = 'the options were taken over anew'): Promise<void> {
  const before = count(broker, outcome);
  process.kill(broker.pid, 'SIGHUP');
  await waitFor(outcome, () => count(broker, outcome) > before);
}

/** What becomes of a call: `ok`, or the code of its error. */
async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    return String((error as { code?: string }).code);
  }
}

const echo = 'export function Config({ config }) { return config; }\n';

describe('SIGHUP', { skip: noSignal }, () => {
  for (const launcher of launchers) {
    describe(`on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
      it('keeps its keys when the file is gone, at a reload and at a stop', async () => {
        const broker = await startBroker(launcher, { config: { services: { _access_key: 'the key' } } });
        unlinkSync(broker.configFile);
        await reload(broker, 'the options were not taken over; the old ones remain in force');
        assert.equal(await outcomeOf((await connectTo(broker, {})).get('a')), 'access_denied');
        await broker.stop();
        assert.equal(read(broker)['services']?.['_access_key'], 'the key');
      });

      it('takes over keys, modules, periods and the log level, and keeps connections', async () => {
        const broker = await startBroker(launcher, {
          config: { services: { _access_key: 'old key' }, _config: { backup_freq_secs: 0 } },
        });
        const old = await connectTo(broker, { accessKey: 'old key' });
        await old.replace('a', 'b');
        edit(broker, (options) => {
          options['services'] = { ...options['services'], _access_key: 'new key' };
          options['_global'] = { healthcheck_freq_sec: 5, log_level: 'debug' };
          options['_config'] = { backup_freq_secs: 0.2, backup_retain_n: 3 };
          options['absent'] = {};
        });
        // Nothing counts before it is asked for.
        assert.equal(await outcomeOf(old.get('a')), 'ok');
        await reload(broker);
        assert.equal(await outcomeOf(old.get('a')), 'access_denied');
        const now = await connectTo(broker, { accessKey: 'new key' });
        assert.equal((await now.get('a')).data, 'b');
        assert.equal(await outcomeOf(now.execute('absent.Method', {})), 'module_not_found');
        assert.match(broker.stderr(), /info .*taken over/);
        await waitFor('a backup, by the new period', () => broker.stderr().includes('made a backup'));
        // Once more, and back: modules can be taken away again, and lines of the level info too.
        edit(broker, (options) => {
          delete options['absent'];
          options['_global'] = { log_level: 'warn' };
          options['api'] = { ...options['api'], listen_port: 1, listen_prt: 2 };
          options['wrong'] = { _queue: -1 };
        });
        await reload(broker, 'these options take effect at the next start');
        await waitFor('the warning', () => broker.stderr().includes("did you mean 'api.listen_port'?"));
        await waitFor('the limit', () => / warn .*: wrong\._queue: /.test(broker.stderr()));
        assert.match(broker.stderr(), /take effect at the next start options=api\.listen_port$/m);
        assert.equal((await broker.stop()).code, 0);
        const { api, services, _global: global } = read(broker);
        assert.deepEqual([api?.['listen_port'], api?.['listen_prt']], [1, 2]);
        assert.equal(services?.['_access_key'], 'new key');
        assert.equal(global?.['log_level'], 'warn');
      });

      it('a certificate: new connections get the new one, on the same port', async () => {
        const dir = tempDir();
        const place = (name: string): string => path.join(dir, name);
        const config = { api: { ssl_cert: place('c.pem'), ssl_key: place('k.pem') } };
        const put = async (): Promise<string> => {
          const { cert, key, fingerprint } = await makeCertificate();
          writeFileSync(place('c.pem'), cert);
          writeFileSync(place('k.pem'), key, { mode: 0o600 });
          return `sha256:${fingerprint}`;
        };
        const first = await put();
        const broker = await startBroker(launcher, { config });
        assert.equal(broker.fingerprint, first);
        const client = await connectTo(broker);
        await client.replace('a', 'b');
        const second = await put();
        await reload(broker);
        const reached = await connectTo({ ...broker, fingerprint: second });
        assert.equal((await reached.get('a')).data, 'b');
        assert.equal(await outcomeOf(connectTo(broker).then(pinged)), 'identity_mismatch');
        // A bad pair changes nothing: no half of a reload counts.
        writeFileSync(place('c.pem'), 'no certificate');
        edit(broker, (options) => {
          options['services'] = { ...options['services'], _access_key: 'not to be taken over' };
        });
        await reload(broker, 'the options were not taken over; the old ones remain in force');
        assert.equal((await reached.get('a')).data, 'b');
        const again = await connectTo({ ...broker, fingerprint: second });
        assert.equal((await again.get('a')).data, 'b');
        assert.equal((await broker.stop()).code, 0);
        // The stop rewrites the file: the edit is kept there, for the next start.
        assert.equal(read(broker)['services']?.['_access_key'], 'not to be taken over');
      });

      it('a chain that is cut off changes nothing, and the former pair is taken over again', async () => {
        const dir = tempDir();
        const place = (name: string): string => path.join(dir, name);
        const put = (cert: string, key: string): void => {
          writeFileSync(place('c.pem'), cert);
          writeFileSync(place('k.pem'), key, { mode: 0o600 });
        };
        const [former, next] = [await makeCertificate(), await makeCertificate()];
        put(former.cert, former.key);
        const config = { api: { ssl_cert: place('c.pem'), ssl_key: place('k.pem') } };
        const broker = await startBroker(launcher, { config });
        const old = await connectTo(broker);
        await pinged(old);
        for (const end of ['-----BEGIN CERTIFICATE-----\nAAAA', former.cert.slice(0, -10)]) {
          put(next.cert + end, next.key);
          await reload(broker, 'the options were not taken over; the old ones remain in force');
          await pinged(old);
          await pinged(await connectTo(broker));
        }
        assert.match(broker.stderr(), /certificate 2 in it is cut off or malformed/);
        put(former.cert, former.key);
        await reload(broker);
        await pinged(await connectTo(broker));
        assert.equal((await broker.stop()).code, 0);
      });
    });
  }

  it('an extension gets its new configuration, and its next call the new key', async () => {
    const dir = tempDir();
    const lib = path.join(dir, 'bpbroker', 'lib');
    mkdirSync(lib, { recursive: true });
    writeFileSync(path.join(lib, 'echo.mjs'), echo, { mode: 0o644 });
    const broker = await startBroker(reference, { dir, config: { echo: { greeting: 'one' } } });
    const execute = (key: string): ReturnType<RunningBroker['client']> =>
      broker.client(['execute', '--method', 'echo.Config', '--data', '{}'], {
        env: key === '' ? {} : { BPBROKER_ACCESS_KEY: key },
      });
    assert.match((await execute('')).stdout, /one/);
    edit(broker, (options) => (options['echo'] = { greeting: 'two', _access_key: 'k' }));
    await reload(broker);
    assert.equal((await execute('')).code, 5);
    assert.match((await execute('k')).stdout, /two/);
    await broker.stop();
  });

  it('a discovery key counts at once, and its loss too', async () => {
    const broker = await startBroker(reference);
    const client = await connectTo(broker);
    await client.replace('here', 'x');
    /** A client that is to be answered has time for it, also on a busy machine. */
    const discover = async (key: string, expected: 0 | 6): Promise<void> => {
      const timeout = ['--timeout', expected === 0 ? '10s' : '1s'];
      const find = ['discover', '--name', 'here', '--port', String(broker.udpPort), ...timeout];
      const env = key === '' ? {} : { BPBROKER_DISCOVER_KEY: key };
      const { code, stderr } = await broker.client(find, { address: false, env });
      assert.equal(code, expected, stderr);
    };
    const key = randomBytes(32).toString('base64url');
    await discover('', 0);
    await discover(key, 6);
    edit(broker, (options) => (options['discover'] = { _access_key: key }));
    await reload(broker);
    await discover('', 6);
    await discover(key, 0);
    edit(broker, (options) => (options['discover'] = {}));
    await reload(broker);
    await discover('', 0);
    await discover(key, 6);
    await broker.stop();
  });

  it('a malformed file is an error with line and column, the old options go on, and the file stays', async () => {
    const broker = await startBroker(reference, { config: { services: { _access_key: 'key' } } });
    const client = await connectTo(broker, { accessKey: 'key' });
    await client.replace('a', 'b');
    const text = '{\n  "api": {"listen_port": 0},\n  "services": oops\n}\n';
    writeFileSync(broker.configFile, text);
    await reload(broker, 'the options were not taken over; the old ones remain in force');
    assert.match(broker.stderr(), /bpbroker\.json:3:15: malformed JSON/);
    await client.replace('a', 'c');
    assert.equal((await client.get('a')).data, 'c');
    await broker.stop();
    assert.equal(readFileSync(broker.configFile, 'utf8'), text);
  });

  it('an edit that nobody asked to take over is kept by the rewriting of the file', async () => {
    const broker = await startBroker(reference);
    const client = await connectTo(broker);
    await client.replace('a', 'b');
    edit(broker, (options) => {
      options['mine'] = { x: 1 };
      options['_config'] = { backup_freq_secs: 77, backup_retain_n: 3 };
    });
    await client.replace('a', 'c');
    assert.equal((await broker.stop()).code, 0);
    const { mine, _config: config, services } = read(broker);
    assert.deepEqual(mine, { x: 1 });
    assert.equal(config?.['backup_freq_secs'], 77);
    assert.equal((services?.['a'] as { _str: string } | undefined)?._str, 'c');
    const again = await startBroker(reference, { dir: broker.dir });
    assert.equal((await (await connectTo(again)).get('a')).data, 'c');
    await again.stop();
  });
});

async function pinged(client: BrokerClient): Promise<void> {
  await client.ping('');
}
