import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { atEnd } from '../../support/cleanup.ts';
import { describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { ptyProblem, runOnTerminal } from '../../support/programs/pty.ts';
import { waitFor } from '../../support/wait.ts';
import { advised, at, diagnose, ids, register, userOf } from './doctor-support.ts';
import { record } from '../broker/recorder.ts';
import { key, openProxied } from '../connection/url-support.ts';
import { freePort, reference, skipOf } from '../support.ts';

const canary = 'canary-71c0';
const onLinux = process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8';

describe('doctor, of keys and identities,', () => {
  it('row "doctor": says that a key is wrong, or missing, and presents it once', async () => {
    const broker = await startBroker(reference, { config: { services: { _access_key: 'the right key' } } });
    const user = userOf();
    await user.types([...reference.bpclient, ...at(broker), 'ping', '--data', 'x']);
    const missing = await user.doctor(at(broker), 'key_missing', 5);
    assert.equal(missing.check('access_key').facts?.['is_set'], false);
    const guesses = (): number => broker.stderr().match(/wrong access key/g)?.length ?? 0;
    assert.equal(guesses(), 0);
    const file = path.join(user.home, 'key');
    writeFileSync(file, canary);
    const keyed = [...at(broker), '--access-key-file', file];
    const wrong = await user.doctor(keyed, 'wrong_key', 5);
    assert.ok(!`${wrong.text}${JSON.stringify(wrong.json)}`.includes(canary));
    assert.match(wrong.json.advice?.text ?? '', /--access-key-file FILE .*BPBROKER_ACCESS_KEY/);
    // It ran twice: for people, and for programs.
    await waitFor('the log', () => guesses() >= 2);
    assert.equal(guesses(), 2);
    writeFileSync(file, 'the right key\n');
    const right = await user.doctor([...keyed, '--name', 'foo'], 'wrong_name', 3);
    assert.equal(right.check('access_key').status, 'ok');
    assert.equal(await user.types(advised(right)), '', 'a list of no names');
    await register(user, broker, 'foo', '--access-key-file', file);
    await user.doctor([...keyed, '--name', 'foo'], null, 0);
    assert.equal(guesses(), 2);
    // What is advised for another port repeats the file of the key.
    const mistaken = ['-b', `127.0.0.1:${await freePort()}`, '--access-key-file', file];
    const elsewhere = await user.doctor(mistaken, 'no_broker', 6);
    assert.match(await user.types(advised(elsewhere)), /There is no fault/);
    await broker.kill();
  });

  it('says that a certificate has changed, sends nothing secret, keeps nothing', async () => {
    const user = userOf({ BPBROKER_ACCESS_KEY: canary });
    const former = await startBroker(reference);
    await user.types([...reference.bpclient, ...at(former), 'ping', '--data', 'x']);
    const kept = readFileSync(user.knownBrokers, 'utf8');
    await former.kill();
    const recorder = await record(former.port);
    const impostor = await user.doctor(at(former), 'identity_changed', 8);
    assert.equal(impostor.check('access_key').status, 'skip');
    assert.ok(!recorder.received().includes(canary), recorder.received());
    await recorder.close();
    const anew = await startBroker(reference, { config: { api: { listen_port: former.port } } });
    const changed = await user.doctor(at(anew), 'identity_changed', 8);
    assert.equal(readFileSync(user.knownBrokers, 'utf8'), kept);
    assert.ok(changed.json.advice?.command?.includes(anew.fingerprint), changed.text);
    await user.types(advised(changed));
    await user.doctor(at(anew), null, 0);
    await anew.kill();
  });

  it('says by a name, too, that another broker answers for it, at an address never met', async () => {
    const user = userOf();
    const find = ({ port }: RunningBroker): string[] => ['--name', 'foo', '--port', String(port)];
    const former = await startBroker(reference);
    await register(user, former, 'foo');
    await user.types([...reference.bpclient, 'service', 'get', ...find(former)]);
    await former.kill();
    const anew = await startBroker(reference);
    await register(userOf(), anew, 'foo');
    const changed = await user.doctor(find(anew), 'identity_changed', 8);
    await user.types(advised(changed));
    await user.doctor(find(anew), null, 0);
    assert.equal(await user.types([...reference.bpclient, 'service', 'get', ...find(anew)]), 'x');
    await anew.kill();
  });

  it('row "doctor": of a broker never met keeps nothing, and sends it no key', async () => {
    const user = userOf({ BPBROKER_ACCESS_KEY: canary });
    const recorder = await record();
    await user.doctor(at(recorder), 'broker_unwell', 1);
    assert.ok(!recorder.received().includes(canary), recorder.received());
    assert.match(recorder.received(), /POST \/identity/, 'it does record what is sent');
    await recorder.close();
    const broker = await startBroker(reference, { config: { services: { _access_key: canary } } });
    const first = await user.doctor(at(broker), null, 0);
    assert.ok(!existsSync(user.knownBrokers));
    assert.deepEqual(
      ['identity', 'access_key'].map((id) => first.check(id).status),
      ['warn', 'warn'],
    );
    assert.deepEqual([first.json.ok, first.json.untried], [false, ['access_key']]);
    assert.match(
      first.text,
      /^No fault was found on the way to the broker at .*\nWhat is not known: .* access key/m,
    );
    await user.types(advised(first));
    const met = await user.doctor(at(broker), null, 0);
    assert.equal(met.check('access_key').status, 'ok');
    assert.deepEqual([met.json.ok, met.json.untried], [true, []]);
    assert.match(met.text, /^skip +discovery key +none is set: brokers are asked without a discovery key$/m);
    assert.match(met.text, /^There is no fault on the way to the broker at /m);
    const pinned = await userOf({ BPBROKER_ACCESS_KEY: canary }).doctor(
      [...at(broker), '--fingerprint', broker.fingerprint],
      null,
      0,
    );
    assert.equal(pinned.check('access_key').status, 'ok');
    await broker.kill();
  });
});

describe('doctor, of a port that is not that of the broker,', () => {
  it('names the port of a broker that the user has met there, and the command to go on with', async () => {
    const broker = await startBroker(reference);
    const user = userOf();
    await user.types([...reference.bpclient, ...at(broker), 'ping', '--data', 'x']);
    const wrong = await user.doctor(['-b', `127.0.0.1:${await freePort()}`], 'no_broker', 6);
    assert.ok(wrong.json.message?.endsWith(`one answers on its port ${broker.port}.`), wrong.text);
    assert.match(await user.types(advised(wrong)), /There is no fault/);
    await broker.kill();
  });

  it('says that the broker of this host runs on another port, where no other is known', async () => {
    const broker = await startBroker(reference);
    const port = await freePort();
    const config = ['--config', broker.configFile];
    const wrong = await userOf().doctor(['-b', `127.0.0.1:${port}`, ...config], 'no_broker', 6);
    assert.match(
      wrong.json.message ?? '',
      new RegExp(`A broker runs on this host, with the file ${broker.configFile}`),
    );
    assert.match(wrong.json.advice?.text ?? '', /ready line/);
    await broker.stop();
    const gone = await userOf().doctor(['-b', `127.0.0.1:${port}`, ...config], 'no_broker', 6);
    assert.equal(gone.json.advice?.command, `bpbroker start --listen-port ${port}`);
  });

  it('names the address and the port of the keyed broker of this host', { skip: onLinux }, async () => {
    const discoveryKey = randomBytes(32).toString('hex');
    const port = await freePort();
    const broker = await startBroker(reference, {
      config: { api: { listen_port: port, listen_ip: '127.0.0.2' }, discover: { _access_key: discoveryKey } },
    });
    const user = userOf();
    const type = (command: readonly string[]) => run(command, { env: cleanEnv(user.home), cwd: user.home });
    const config = ['--config', broker.configFile];
    const missing = await diagnose(
      type,
      reference.bpbroker,
      [...config, '--port', String(await freePort())],
      {
        cause: 'discovery_key_missing',
        code: 5,
      },
    );
    assert.equal(missing.json.advice?.command, `bpbroker ping --bpbroker 127.0.0.2:${port}`);
    await user.types(advised(missing));
    // The key alone would ask at the other port.
    assert.match(missing.json.advice?.text ?? '', new RegExp(`BPBROKER_DISCOVER_KEY, and --port ${port}\\.`));
    const keyFile = path.join(user.home, 'key');
    writeFileSync(keyFile, discoveryKey);
    await user.types([...reference.bpbroker, 'ping', '--discover-key-file', keyFile, '--port', String(port)]);
    await broker.kill();
  });
});

it('doctor refuses a time limit in which silence says nothing', async () => {
  const { code, stderr } = await run([...reference.bpclient, 'doctor', '--timeout', '1ms'], {
    env: cleanEnv('/'),
  });
  assert.deepEqual(
    [code, /^Fatal error: Invalid --timeout '1ms': .*give 1s or more\n$/.test(stderr)],
    [2, true],
    stderr,
  );
});

describe('doctor, of a broker behind a URL,', () => {
  it('says whether an authority vouches for it, and walks on from there', async () => {
    const { url, file } = await openProxied();
    const user = userOf({ BPBROKER_ACCESS_KEY: key });
    const unknown = await user.doctor(['-b', url()], 'identity_unknown', 8);
    assert.match(unknown.json.advice?.text ?? '', /--ca FILE/);
    const to = ['-b', url(), '--ca', file('ca.pem')];
    const wrong = await user.doctor([...to, '--name', 'foo'], 'wrong_name', 3);
    assert.equal(await user.types(advised(wrong)), '', 'a list of no names');
    const well = await user.doctor(to, null, 0);
    for (const id of ['tcp', 'identity', 'access_key', 'health', 'clock'])
      assert.equal(well.check(id).status, 'ok', well.text);
    assert.equal(well.check('discovery').status, 'skip');
    const nobody = `https://localhost:${await freePort()}`;
    await user.doctor(['-b', nobody, '--ca', file('ca.pem')], 'no_broker', 6);
  });
});

for (const launcher of launchers) {
  describe(`doctor on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    it('finds all well, in every form, and a broker that is not there, in time', async () => {
      const broker = await startBroker(reference);
      const user = userOf({ HTTPS_PROXY: `http://user:${canary}@proxy:3128` });
      const env = cleanEnv(user.home, { HTTPS_PROXY: `http://user:${canary}@proxy:3128` });
      const type = (command: readonly string[]): ReturnType<typeof run> =>
        run(command, { env, cwd: user.home });
      await register(user, broker, 'foo');
      const find = ['--name', 'foo', '--port', String(broker.port)];
      const well = await diagnose(type, launcher.bpclient, find, { cause: null, code: 0 });
      assert.deepEqual(
        well.json.checks.map(({ id }) => id),
        ids,
      );
      assert.match(well.check('proxy').says, /^HTTPS_PROXY=http:\/\/proxy:3128/);
      assert.ok(!JSON.stringify(well.json).includes(canary));
      const csv = await type([
        ...launcher.bpclient,
        'doctor',
        ...find,
        '--format',
        'csv',
        '--cols',
        'id,status',
      ]);
      assert.match(csv.stdout, /^id,status\nprogram,ok\n/);
      const form = await type([...launcher.bpclient, 'doctor', ...find, '--format', 'env']);
      assert.match(form.stdout, /^BPB_EXIT_CODE='0'\nBPB_CAUSE=''\nBPB_COMMAND=/);
      const quiet = await type([...launcher.bpclient, 'doctor', ...find, '--quiet']);
      assert.ok(!/^(?:ok|skip) /m.test(quiet.stdout), quiet.stdout);
      const verbose = await type([...launcher.bpclient, 'doctor', ...find, '--verbose']);
      assert.match(
        verbose.stdout,
        /^ {6}queries: \{"interface": "lo", "to": "127\.0\.0\.1:\d+", "sent": \d/m,
      );
      assert.match(verbose.stdout, /^ {6}answers: \{"from": "127\.0\.0\.1:\d+", .*"at_ms": \d+/m);
      await broker.kill();
      const timeout = ['--timeout', '1500ms'];
      const gone = await diagnose(type, launcher.bpclient, [...find, ...timeout], {
        cause: 'no_broker',
        code: 6,
      });
      assert.ok(gone.json.took_ms < 10_000, String(gone.json.took_ms));
      const there = [...at(broker), ...timeout];
      const refused = await diagnose(type, launcher.bpclient, there, { cause: 'no_broker', code: 6 });
      assert.match(refused.json.message ?? '', /no broker listens on its port/);
      // A server that accepts connections and sends nothing does not hold it up longer.
      const silent = await listenSilently();
      const held = await diagnose(type, launcher.bpclient, ['-b', silent, ...timeout], {
        cause: 'no_broker',
        code: 6,
      });
      assert.ok(held.json.took_ms < 10_000, String(held.json.took_ms));
    });
  });
}

/** A server that accepts connections and never sends anything; returns its address. */
async function listenSilently(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('doctor on a terminal', { skip: ptyProblem }, () => {
  it('keeps to 60 columns, with colours unless NO_COLOR is set', async () => {
    const user = userOf();
    const port = String(await freePort());
    const onScreen = ['sh', '-c', 'stty cols 60 rows 24; exec "$@" 2>/dev/null', 'sh'];
    const line = (env: Record<string, string>): ReturnType<typeof run> =>
      runOnTerminal([...onScreen, ...reference.bpclient, 'doctor', '--port', port], {
        env: { ...cleanEnv(user.home), TERM: 'xterm', ...env },
        cwd: user.home,
      });
    const plain = await line({ NO_COLOR: '1' });
    const printed = plain.stdout.replaceAll('\r', '');
    assert.ok(!printed.includes('\u001b'), JSON.stringify(printed));
    assert.match(printed, /^fail {2}discovery/m);
    // A path is one word, which nobody breaks.
    const tooLong = printed.split('\n').filter((text) => text.length > 60 && text.trim().includes(' '));
    assert.deepEqual(tooLong, []);
    const coloured = await line({ NO_COLOR: '' });
    assert.ok(coloured.stdout.includes('\u001b[31mfail\u001b[0m  discovery'), coloured.stdout);
  });
});
