import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { readSigningKey } from '../../build/release/sign.ts';
import { smallRelease } from '../build/install/install-support.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { launchers } from '../support/programs/programs.ts';
import { run, type RunResult } from '../support/programs/run.ts';
import { tempDir } from '../support/temp.ts';
import { lacking } from '../support/programs/tools.ts';

const page = 'docs/install.md';

/** The one block of the page that has these words. */
function block(words: string): string {
  const found = blocksOf(page).filter(({ language, text }) => language === 'shell' && text.includes(words));
  assert.equal(found.length, 1, words);
  return found[0]?.text ?? '';
}

function typed(text: string, dir: string, env: Record<string, string> = {}): Promise<RunResult> {
  return run(['/bin/sh', '-eu'], { input: text, cwd: dir, env: { PATH: process.env['PATH'] ?? '', ...env } });
}

const skip =
  process.platform === 'win32'
    ? 'its commands are for a POSIX shell'
    : lacking('tar', 'libdeflate-gzip', 'openssl', 'ssh-keygen', 'sha256sum');

describe(page, { skip }, () => {
  const making = block('openssl genpkey');
  const build = 'npm run build:all -- --sign release.pem\n';

  it('makes a key that the build takes, and verifies by hand what it has signed, with either tool', async () => {
    const keys = tempDir();
    assert.ok(making.endsWith(build));
    const made = await typed(making.replace(build, ''), keys);
    assert.equal(made.code, 0, made.stderr);
    const key = readSigningKey(path.join(keys, 'release.pem'));
    const release = await smallRelease({ key });
    writeFileSync(path.join(release, 'release.pub'), readFileSync(path.join(keys, 'release.pub')));
    const byOpenssl = await typed(block('openssl pkeyutl -verify'), release);
    assert.equal(byOpenssl.code, 0, byOpenssl.stderr);
    assert.match(
      byOpenssl.stdout,
      /^Signature Verified Successfully\nbpbroker-\S+\.tar\.gz: OK\nbpclient-\S+: OK\n$/,
    );
    const bySsh = await typed(block('ssh-keygen -Y verify'), release, { KEY: key.ssh });
    assert.equal(bySsh.code, 0, bySsh.stderr);
    assert.match(bySsh.stdout, /^Good "bpbroker-release" signature for bpbroker/);
    writeFileSync(
      path.join(release, 'SHA256SUMS'),
      `${readFileSync(path.join(release, 'SHA256SUMS'), 'utf8')}\n`,
    );
    for (const words of ['openssl pkeyutl -verify', 'ssh-keygen -Y verify'])
      assert.notEqual((await typed(block(words), release, { KEY: key.ssh })).code, 0);
  });

  const executable = launchers.find(({ name }) => name === 'executable');
  it('makes the client by a link', { skip: executable?.available !== true && 'no executable' }, async () => {
    const dir = tempDir();
    symlinkSync(executable?.bpbroker[0] ?? '', path.join(dir, 'bpbroker'));
    assert.equal((await typed(block('ln -s bpbroker bpclient'), dir)).code, 0);
    assert.match((await typed('./bpclient --version', dir)).stdout, /^bpclient \d/);
  });
});
