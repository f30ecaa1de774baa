import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { chmodSync, cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { installers, writeInstallers } from '../../../build/release/installers.ts';
import { root, tool } from '../../../build/root.ts';
import { readSigningKey, signatureNamespace, type SigningKey } from '../../../build/release/sign.ts';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';

const noTools = lacking('openssl', 'ssh-keygen');
const noOpenssl = lacking('openssl');
const noPacking = lacking('tar', 'libdeflate-gzip', 'openssl');

const content = Buffer.from(`${'0f'.repeat(32)}  a file\n`);

/** A file that holds `text`, for its owner alone unless another mode is given. */
function keyFile(text: string, mode = 0o600): string {
  const file = path.join(tempDir(), 'release.pem');
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

async function openssl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(['openssl', ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

const generated = (): Promise<string> => openssl('genpkey', '-algorithm', 'ed25519');

describe('readSigningKey()', { skip: noTools }, () => {
  it('row "a tampered release": signs what openssl and ssh-keygen verify with the public key that it names for each', async () => {
    const dir = tempDir();
    const at = (name: string): string => path.join(dir, name);
    const key = readSigningKey(keyFile(await generated()));
    writeFileSync(at('key.pem'), `-----BEGIN PUBLIC KEY-----\n${key.openssl}\n-----END PUBLIC KEY-----\n`);
    writeFileSync(at('signers'), `bpbroker namespaces="${signatureNamespace}" ssh-ed25519 ${key.ssh}\n`);
    writeFileSync(at('content'), content);
    writeFileSync(at('sig'), key.sign(content));
    writeFileSync(at('sshsig'), key.signForSsh(content));
    const raw = ['pkeyutl', '-verify', '-rawin', '-pubin', '-inkey', at('key.pem'), '-sigfile', at('sig')];
    assert.match(await openssl(...raw, '-in', at('content')), /Verified Successfully/);
    const words = ['-f', at('signers'), '-I', 'bpbroker', '-s', at('sshsig')];
    const checked = (input: string, namespace: string): Promise<RunResult> =>
      run(['ssh-keygen', '-Y', 'verify', ...words, '-n', namespace], { input });
    assert.match(
      (await checked(content.toString(), signatureNamespace)).stdout,
      /^Good "bpbroker-release" signature/,
    );
    assert.notEqual((await checked(`${content.toString()}\n`, signatureNamespace)).code, 0);
    assert.notEqual((await checked(content.toString(), 'file')).code, 0);
    assert.notEqual((await run(['openssl', ...raw, '-in', at('sig')])).code, 0);
  });

  it('makes the same signatures each time, and names the public half alone', async () => {
    const file = keyFile(await generated());
    const [one, other]: SigningKey[] = [readSigningKey(file), readSigningKey(file)];
    assert.ok(one && other);
    assert.ok(one.sign(content).equals(other.sign(content)));
    assert.equal(one.signForSsh(content), other.signForSsh(content));
    const named = createPublicKey({ key: Buffer.from(one.openssl, 'base64'), format: 'der', type: 'spki' });
    assert.equal(named.asymmetricKeyType, 'ed25519');
    assert.ok(verify(undefined, content, named, one.sign(content)));
  });

  it('refuses what is no such key, says what it is and how to make one, and repeats nothing of it', async () => {
    const good = await generated();
    const [, secret = ''] = good.split('\n');
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = (key: typeof privateKey, type: 'pkcs1' | 'pkcs8'): string =>
      key.export({ type, format: 'pem' }).toString();
    const encrypted = await openssl('genpkey', '-algorithm', 'ed25519', '-aes256', '-pass', 'pass:word');
    const cases: [string, RegExp][] = [
      [pem(privateKey, 'pkcs8'), /holds a key of the type rsa; expected an Ed25519 private key/],
      [pem(privateKey, 'pkcs1'), /holds no private key in PEM, PKCS#8 and not encrypted/],
      [publicKey.export({ type: 'spki', format: 'pem' }).toString(), /holds a public key/],
      [encrypted, /holds no private key in PEM, PKCS#8 and not encrypted/],
      [good.replace(secret, `${secret.slice(0, -8)}AAAA`), /holds a private key that is damaged/],
      [good.replaceAll('-', ''), /holds no private key in PEM/],
      ['', /holds no private key in PEM/],
      [await openssl('genpkey', '-algorithm', 'x25519'), /holds a key of the type x25519/],
    ];
    for (const [text, message] of cases) {
      const file = keyFile(text);
      assert.throws(
        () => readSigningKey(file),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(file));
          assert.match(error.message, /as 'openssl genpkey -algorithm ed25519 -out KEYFILE' writes it$/);
          for (const line of text.split('\n').filter((one) => one.length > 8 && !one.startsWith('-')))
            assert.ok(!String(error.stack).includes(line));
          return true;
        },
      );
    }
    assert.throws(() => readSigningKey(path.join(tempDir(), 'none')), /ENOENT.*none/);
    assert.throws(() => readSigningKey(tempDir()), /is not a file; expected one that holds the private key/);
  });

  it('refuses a key that others may read or change, until its owner closes it', async () => {
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602]) {
      const file = keyFile(await generated(), mode);
      const named = new RegExp(
        `may be read or changed by others than its owner \\(mode ${mode.toString(8)}\\): chmod 600 it`,
      );
      assert.throws(() => readSigningKey(file), named);
      chmodSync(file, 0o600);
      readSigningKey(file);
    }
  });
});

describe('writeInstallers()', { skip: noOpenssl }, () => {
  it('leaves them as they are without a key', () => {
    const out = tempDir();
    writeInstallers(out);
    for (const name of Object.keys(installers)) {
      const source = path.join(root, 'build', 'install', name);
      assert.equal(readFileSync(path.join(out, name), 'utf8'), readFileSync(source, 'utf8'));
    }
  });

  it('refuses an installer without a place for the key: it would take unsigned releases', async () => {
    const project = tempDir();
    cpSync(path.join(root, 'build'), path.join(project, 'build'), { recursive: true });
    for (const name of ['package.json', 'package-lock.json', 'tsconfig.json'])
      cpSync(path.join(root, name), path.join(project, name));
    const script = path.join(project, 'build', 'install', 'install.sh');
    writeFileSync(script, readFileSync(script, 'utf8').replace('\nkey_ssh=\n', '\nkey_ssh=""\n'));
    const code = `const { writeInstallers } = await import('./build/release/installers.ts');
      const { readSigningKey } = await import('./build/release/sign.ts');
      writeInstallers('.', readSigningKey(process.argv[1]));`;
    const file = keyFile(await generated());
    const { code: exit, stderr } = await run([tool('node'), '--input-type=module', '-e', code, file], {
      cwd: project,
    });
    assert.equal(exit, 1);
    assert.match(stderr, /build\/install\/install\.sh must have the line "key_ssh=" once/);
  });
});

describe('node build/release.ts --sign', { skip: noPacking }, () => {
  const release = (...args: string[]): Promise<RunResult> =>
    run([tool('node'), path.join(root, 'build', 'release.ts'), ...args], {
      cwd: tempDir(),
      timeoutMs: 60_000,
    });

  it('refuses the key before it touches anything, in one line', async () => {
    const inside = path.join(root, 'dist', 'release', 'key.pem');
    const cases: [string[], RegExp][] = [
      [['--sign', keyFile(await generated(), 0o644)], /may be read or changed by others/],
      [['--sign', keyFile('none')], /holds no private key/],
      [['--sign', inside], /cannot be the key to sign with: .* is emptied first; expected a file elsewhere/],
      [['--sign', ''], /'' cannot be the key to sign with/],
      [['--sign'], /'--sign <value>' argument missing/],
      [['--key', 'x'], /Unknown option '--key'/],
      [['--sign', keyFile(await generated()), 'linux-mips'], /No target linux-mips; there are linux-x64,/],
    ];
    const before = existsSync(path.dirname(inside));
    // As npm calls it, from a folder of the user's own.
    const own = keyFile('none');
    const env = { ...process.env, npm_lifecycle_event: 'build:all', INIT_CWD: path.dirname(own) };
    const byNpm = await run(
      [tool('node'), path.join(root, 'build', 'release.ts'), '--sign', path.basename(own)],
      { cwd: root, env },
    );
    assert.ok(byNpm.stderr.startsWith(`${own} holds no private key`), byNpm.stderr);
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await release(...args);
      assert.deepEqual([code, stdout], [1, ''], stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
    }
    assert.equal(existsSync(path.dirname(inside)), before);
  });
});
