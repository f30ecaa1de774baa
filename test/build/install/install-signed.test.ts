import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { writeInstallers } from '../../../build/release/installers.ts';
import { readSigningKey, type SigningKey } from '../../../build/release/sign.ts';
import { serveFiles } from '../../support/network/file-server.ts';
import type { RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import {
  everything,
  install,
  pathOf,
  programsForInstalls,
  shells,
  smallRelease,
  whereIs,
} from './install-support.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking(...programsForInstalls);

function makeKey(): SigningKey {
  const file = path.join(tempDir(), 'key.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', file]);
  return readSigningKey(file);
}

/** What stands in for the tools that this machine does not have, as they answer there. */
const withoutRawin = `case "$*" in *-rawin*) echo 'pkeyutl: Unknown option: -rawin' >&2; exit 1 ;; esac; exec ${whereIs('openssl')} "$@"`;
const withoutEd25519 = `case "$1" in pkeyutl) echo 'unsupported algorithm' >&2; exit 1 ;; esac; exec ${whereIs('openssl')} "$@"`;
const oldSsh = `echo 'unknown option -- Y' >&2; echo 'usage: ssh-keygen [-q]' >&2; exit 1`;

/** Ways to verify: the PATH that leaves one alone. */
const having = (names: readonly string[], standIns: Readonly<Record<string, string>> = {}): string =>
  pathOf([...everything.filter((name) => !['openssl', 'ssh-keygen'].includes(name)), ...names], standIns);
const verifiers: Readonly<Record<string, string>> = {
  openssl: having(['openssl']),
  'ssh-keygen': having(['ssh-keygen']),
  'ssh-keygen beside an openssl before 3.0': having(['ssh-keygen'], { openssl: withoutRawin }),
  'ssh-keygen beside a LibreSSL without Ed25519': having(['ssh-keygen'], { openssl: withoutEd25519 }),
  'openssl beside an old ssh-keygen': having(['openssl'], { 'ssh-keygen': oldSsh }),
};

describe('row "a tampered release": install.sh with the key that signs releases', { skip }, () => {
  const key = makeKey();
  let installer = '';
  let release = '';
  before(async () => {
    const dir = tempDir();
    writeInstallers(dir, key);
    installer = path.join(dir, 'install.sh');
    release = await smallRelease({ key });
  });

  interface Attempt extends RunResult {
    readonly installed: readonly string[];
  }
  /** Installs what a folder holds. */
  async function attempt(
    from: string,
    PATH: string,
    shell?: readonly string[],
    ...args: string[]
  ): Promise<Attempt> {
    const dir = path.join(tempDir(), 'bin');
    const options = { installer, env: { PATH }, ...(shell && { shell }) };
    const result = await install(['--url', await serveFiles(from), '--dir', dir, ...args], options);
    return { ...result, installed: existsSync(dir) ? readdirSync(dir) : [] };
  }

  /** A release whose files are changed after it has been signed. */
  async function changed(change: (dir: string) => void): Promise<string> {
    const dir = await smallRelease({ key });
    change(dir);
    return dir;
  }

  for (const [shellName, shell] of Object.entries(shells)) {
    for (const [name, PATH] of Object.entries(verifiers)) {
      const [verifier = ''] = name.split(' ');
      describe(`under ${shellName}, with ${name}`, () => {
        const refused = async (from: string, message: RegExp): Promise<void> => {
          const { code, stdout, stderr, installed } = await attempt(from, PATH, shell);
          assert.deepEqual([code, stdout, installed], [1, '', []], stderr);
          assert.match(stderr, message);
        };
        const bad = new RegExp(
          `^install\\.sh: SHA256SUMS of \\S+ does not bear the signature of bpbroker's releases: nothing was installed \\(${verifier}: .+\\)\\n$`,
        );

        it('installs both programs, and the client alone, of a release that it has signed', async () => {
          const both = await attempt(release, PATH, shell);
          assert.deepEqual([both.code, both.installed], [0, ['bpbroker', 'bpclient']], both.stderr);
          const client = await attempt(release, PATH, shell, '--client');
          assert.deepEqual([client.code, client.installed], [0, ['bpclient']], client.stderr);
        });

        it('refuses one that another key has signed', async () => {
          await refused(await smallRelease({ key: makeKey() }), bad);
        });

        it('refuses one whose SHA256SUMS has been changed since', async () => {
          const archive = 'bpbroker-9.9.9-none.tar.gz';
          const longer = await changed((dir) =>
            appendFileSync(path.join(dir, 'SHA256SUMS'), `${'0'.repeat(64)}  ${archive}\n`),
          );
          await refused(longer, bad);
        });

        it('refuses one that bears no signature', async () => {
          const unsigned =
            /cannot download \S+\/SHA256SUMS\.(?:ssh)?sig: the release bears no signature: nothing was installed\n$/;
          await refused(await smallRelease(), unsigned);
        });

        it('refuses a signature that is empty, cut off, or of another release', async () => {
          const other = await smallRelease({ version: '9.9.8', key });
          const files = ['SHA256SUMS.sig', 'SHA256SUMS.sshsig'];
          for (const change of [
            (): string => '',
            (text: Buffer): Buffer => text.subarray(0, -30),
            (_: Buffer, file: string): Buffer => readFileSync(path.join(other, file)),
          ])
            await refused(
              await changed((dir) => {
                for (const file of files)
                  writeFileSync(path.join(dir, file), change(readFileSync(path.join(dir, file)), file));
              }),
              bad,
            );
        });
      });
    }
  }

  it('refuses what it cannot verify, and says how to go on', async () => {
    for (const PATH of [having([]), having([], { openssl: withoutRawin, 'ssh-keygen': oldSsh })]) {
      const { code, stdout, stderr, installed } = await attempt(release, PATH);
      assert.deepEqual([code, stdout, installed], [1, '', []]);
      assert.match(
        stderr,
        /cannot be verified here: neither openssl \(3\.0 or later\) nor ssh-keygen \(OpenSSH 8\.1 or later\) is installed; nothing was installed\. Install one of them and repeat, or .* 'Verifying by hand'/,
      );
    }
  });

  it('looks at the signature before it downloads or reads anything else', async () => {
    const dir = await smallRelease({ key: makeKey(), version: '1.1.1' });
    for (const file of readdirSync(dir).filter((name) => name.endsWith('.gz'))) rmSync(path.join(dir, file));
    const asked: string[] = [];
    const { stderr } = await install(
      [
        '--url',
        await serveFiles(dir, (name) => void asked.push(name)),
        '--dir',
        tempDir(),
        '--version',
        '7.7.7',
      ],
      { installer },
    );
    assert.match(stderr, /does not bear the signature/);
    assert.deepEqual(asked, ['/SHA256SUMS', '/SHA256SUMS.sig']);
  });

  it('does not take the signature of an archive for one of SHA256SUMS, and still checks the archive', async () => {
    const dir = await smallRelease({ key });
    const archive =
      readdirSync(dir).find((name) => name.startsWith('bpbroker-') && name.endsWith('.gz')) ?? '';
    appendFileSync(path.join(dir, archive), 'x');
    const { code, stderr } = await attempt(dir, verifiers['openssl'] ?? '');
    assert.equal(code, 1);
    assert.match(stderr, /the checksum of \S+ is [0-9a-f]{64} and not/);
  });
});
