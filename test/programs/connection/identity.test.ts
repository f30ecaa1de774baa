import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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
import { tempDir } from '../../support/temp.ts';
import { record } from '../broker/recorder.ts';
import { reference } from '../support.ts';

const canary = 'canary-5f1e';
const wrong = `sha256:${'0'.repeat(64)}`;
const unmasked = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

const opensslProblem = await run(['openssl', 'version']).then(
  () => false as const,
  () => "needs the program 'openssl'",
);

const ping = (broker: RunningBroker, home: string, ...args: string[]): Promise<RunResult> =>
  broker.client(['ping', '--data', 'x', ...args], { home });

// The broker is the same for all: what differs from runtime to runtime is how a client looks at its certificate.
for (const { name, available, bpclient } of launchers) {
  describe(
    `a client's check of identity, on ${name}`,
    { skip: available === true ? false : available },
    () => {
      const programs = { bpbroker: reference.bpbroker, bpclient };

      it('says a first contact once, on standard error, and keeps it', async () => {
        const home = tempDir();
        const broker = await startBroker(programs);
        const first = await ping(broker, home);
        assert.deepEqual([first.code, first.stdout], [0, 'x\n'], first.stderr);
        const place = `127\\.0\\.0\\.1:${broker.port}`;
        assert.match(
          first.stderr,
          new RegExp(`^First contact with the broker at ${place}: .*${broker.fingerprint}.*\n$`),
        );
        assert.equal((await ping(broker, home)).stderr, '');
        await broker.kill();
      });

      it('row "a new certificate": refuses one that changed, with the command that accepts it', async () => {
        const home = tempDir();
        const former = await startBroker(programs);
        assert.equal((await ping(former, home)).code, 0);
        await former.kill();
        const anew = await startBroker(programs, { config: { api: { listen_port: former.port } } });
        const refused = await ping(anew, home);
        assert.deepEqual([refused.code, refused.stdout], [8, ''], refused.stderr);
        for (const { fingerprint } of [former, anew])
          assert.ok(refused.stderr.includes(fingerprint), refused.stderr);
        const [, advice = ''] = /: bpclient (trust .*)\n$/.exec(refused.stderr) ?? [];
        assert.notEqual(advice, '', refused.stderr);
        const accepted = await anew.client(advice.split(' '), { home, address: false });
        assert.equal(accepted.code, 0, accepted.stderr);
        const again = await ping(anew, home);
        assert.deepEqual([again.code, again.stdout, again.stderr], [0, 'x\n', '']);
        await anew.kill();
      });

      it('row "identity": sends no byte of a request to another', async () => {
        const home = tempDir();
        const keyFile = path.join(home, 'key');
        writeFileSync(keyFile, canary);
        const met = await startBroker(programs);
        assert.equal((await ping(met, home)).code, 0);
        await met.kill();
        const recorder = await record(met.port);
        const get = ['service', 'get', '--name', 'foo'];
        const tries: [string, readonly string[], Record<string, string>][] = [
          ['option', ['--access-key', canary], {}],
          ['variable, waiting', ['--wait', '--timeout', '5s'], { BPBROKER_ACCESS_KEY: canary }],
          ['file, --fingerprint', ['--access-key-file', keyFile, '--fingerprint', wrong], {}],
        ];
        for (const [what, args, env] of tries) {
          const made = recorder.connections();
          const result = await met.client([...get, ...args], { home, env });
          assert.equal(result.code, 8, `${what}: ${result.stderr}`);
          assert.ok(!result.stderr.includes(canary), result.stderr);
          assert.equal(recorder.received(), '', what);
          assert.ok(recorder.connections() > made, what);
        }
        // The control: it does record what is sent by a client that takes it for its broker.
        const pinned = ['--fingerprint', recorder.fingerprint, '--access-key', canary];
        await met.client([...get, ...pinned], { home });
        assert.match(recorder.received(), new RegExp(`bearer ${canary}`, 'i'));
        await recorder.close();
      });

      it("takes a certificate of the user's own, signed by some CA", { skip: opensslProblem }, async () => {
        const { cert, key: ssl_key } = await signedCertificate();
        const broker = await startBroker(programs, { config: { api: { ssl_cert: cert, ssl_key } } });
        const home = tempDir();
        const outcome = async (...args: string[]): Promise<unknown> =>
          (await ping(broker, home, ...args)).code;
        assert.equal(await outcome('--fingerprint', broker.fingerprint), 0, 'never met, named');
        assert.equal(await outcome(), 0, 'first contact');
        assert.equal(await outcome(), 0, 'met');
        assert.equal(await outcome('--fingerprint', broker.fingerprint), 0, 'met, named');
        assert.equal(await outcome('--fingerprint', wrong), 8);
        await broker.kill();
      });
    },
  );

  it(
    `a broker on ${name} serves a user's certificate, and keeps its own key and journal to its owner`,
    { skip: available === true ? opensslProblem : available },
    async () => {
      const { cert, key: ssl_key } = await signedCertificate();
      const { fingerprint256 } = new X509Certificate(readFileSync(cert));
      const programs = launchers.find((launcher) => launcher.name === name) ?? reference;
      const own = await startBroker({ ...programs, bpbroker: [...unmasked, ...programs.bpbroker] });
      const secret = readdirSync(own.dir).filter((file) => /\.key$|\.journal\./.test(file));
      assert.ok(secret.length >= 2);
      for (const file of secret) assert.equal(mode(path.join(own.dir, file)), '600', file);
      await own.stop();
      const env = { BPBROKER_SSL_CERT: cert, BPBROKER_SSL_KEY: ssl_key };
      const signed = await startBroker({ ...programs, bpclient: reference.bpclient }, { dir: own.dir, env });
      assert.equal(signed.fingerprint, `sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}`);
      assert.equal((await ping(signed, tempDir(), '--fingerprint', fingerprint256)).code, 0);
      await signed.kill();
    },
  );
}

describe('identity on the command line', () => {
  let broker: RunningBroker;
  before(async () => {
    broker = await startBroker(reference);
  });

  it('--quiet silences the note of a first contact', async () => {
    const quiet = await ping(broker, tempDir(), '--quiet');
    assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, 'x\n', '']);
  });

  it('known_brokers is for its owner alone, whatever the umask', async () => {
    const home = tempDir();
    assert.equal((await ping(broker, home)).code, 0);
    const other = tempDir();
    const command = [...unmasked, ...reference.bpclient, '--bpbroker', `127.0.0.1:${broker.port}`, 'ping'];
    const { code, stderr } = await run(command, { env: cleanEnv(other), cwd: other });
    assert.equal(code, 0, stderr);
    for (const at of [home, other]) {
      const folder = path.join(at, 'config', 'bpbroker');
      assert.deepEqual([mode(folder), mode(path.join(folder, 'known_brokers'))], ['700', '600']);
    }
  });

  it('--fingerprint right, wrong and malformed', async () => {
    const home = tempDir();
    const right = await ping(broker, home, '--fingerprint', broker.fingerprint);
    assert.deepEqual([right.code, right.stdout, right.stderr], [0, 'x\n', '']);
    const other = await ping(broker, home, '--fingerprint', wrong);
    assert.deepEqual([other.code, other.stdout], [8, '']);
    assert.match(other.stderr, /^Fatal error: [^\n]*\n$/);
    for (const fingerprint of [broker.fingerprint, wrong]) assert.ok(other.stderr.includes(fingerprint));
    for (const malformed of ['', 'sha256:', 'sha256:xyz', `md5:${'0'.repeat(64)}`, `${wrong}0`]) {
      const { code, stderr } = await ping(broker, home, '--fingerprint', malformed);
      assert.equal(code, 2, stderr);
      assert.match(
        stderr,
        /^Fatal error: Invalid --fingerprint '[^\n]*': expected sha256: and 64 hex digits\n$/,
      );
    }
  });

  it('trust lists, adds and forgets', async () => {
    const home = tempDir();
    const place = `127.0.0.1:${broker.port}`;
    const trust = (...args: string[]): Promise<RunResult> =>
      broker.client(['trust', ...args], { home, address: false });
    const prints = async (stdout: string, ...args: string[]): Promise<void> => {
      const result = await trust(...args);
      assert.deepEqual([result.code, result.stdout], [0, stdout], result.stderr);
    };
    await prints('');
    assert.equal((await trust('--bpbroker', place)).code, 3);
    assert.equal((await trust('--bpbroker', place, '--forget')).code, 3);
    assert.equal((await trust('--forget')).code, 2);
    await prints(`${place} ${broker.fingerprint}\n`, '-b', place, '--fingerprint', broker.fingerprint);
    assert.equal((await ping(broker, home)).stderr, '', 'an added identity is no first contact');
    await prints(`${place} ${broker.fingerprint}\n`);
    await prints(`${place} ${wrong}\n`, '--bpbroker', place, '--fingerprint', wrong);
    assert.equal((await ping(broker, home)).code, 8);
    await prints('', '--bpbroker', place, '--forget');
    await prints('');
    assert.equal((await ping(broker, home)).code, 0);
  });
});

let signed: Promise<{ cert: string; key: string }> | undefined;

/** A certificate that a private CA has signed, for a name of its own, with its chain. */
function signedCertificate(): Promise<{ cert: string; key: string }> {
  signed ??= sign();
  return signed;
}

async function sign(): Promise<{ cert: string; key: string }> {
  const dir = tempDir();
  const openssl = async (args: string): Promise<void> => {
    const { code, stderr } = await run(['openssl', ...args.split(' ')], { cwd: dir });
    assert.equal(code, 0, stderr);
  };
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  writeFileSync(path.join(dir, 'ext'), 'subjectAltName=DNS:broker.example.test\nbasicConstraints=CA:FALSE\n');
  await openssl(`req -x509 ${newKey} -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca`);
  await openssl(`req ${newKey} -keyout leaf.key -out leaf.csr -subj /CN=broker.example.test`);
  await openssl(
    'x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out leaf.crt',
  );
  const cert = path.join(dir, 'chain.crt');
  writeFileSync(
    cert,
    readFileSync(path.join(dir, 'leaf.crt'), 'utf8') + readFileSync(path.join(dir, 'ca.crt'), 'utf8'),
  );
  return { cert, key: path.join(dir, 'leaf.key') };
}
