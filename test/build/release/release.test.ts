import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { bundledPackages } from '../../../build/executable/bundled.ts';
import { capture } from '../../../build/process.ts';
import { buildRelease } from '../../../build/release.ts';
import { projectVersion, root, tool } from '../../../build/root.ts';
import { readSigningKey } from '../../../build/release/sign.ts';
import { readSource } from '../../../build/source.ts';
import { archiveName, runsHere, targets } from '../../../build/release/targets.ts';
import { cleanEnv, run, type RunResult } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking('tar', 'libdeflate-gzip', 'gzip', 'unzip', 'git', 'openssl', 'sha256sum');

const version = projectVersion();
const bun = (
  JSON.parse(readFileSync(path.join(root, 'node_modules', 'bun', 'package.json'), 'utf8')) as {
    version: string;
  }
).version;
const host = targets.filter((target) => runsHere(target) && !target.baseline);
const [archive = '', clientArchive = ''] = host.flatMap((target) => [
  archiveName('bpbroker', target, version),
  archiveName('bpclient', target, version),
]);
const built = `(commit 0123456789ab, bun ${bun}, ${host[0]?.name})`;
const source = { commit: '0123456789ab', time: Date.UTC(2026, 0, 31) / 1000 };

describe('buildRelease()', { skip }, () => {
  let out = '';
  let keyFile = '';
  const unpacked = async (name: string): Promise<string> => {
    const dir = tempDir();
    await capture(['tar', 'xzf', path.join(out, name), '-C', dir]);
    return path.join(dir, name.replace('.tar.gz', ''));
  };
  before(async () => {
    out = path.join(tempDir(), 'release');
    keyFile = path.join(tempDir(), 'key.pem');
    await capture(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', keyFile]);
    await buildRelease({ out, source, targets: host, key: readSigningKey(keyFile) });
  });

  it('makes two archives for a target, installers, a bill of materials, and signed checksums of them all', async () => {
    const files = [archive, clientArchive, 'install.sh', 'install.ps1', `bpbroker-${version}.cdx.json`];
    const sums = ['SHA256SUMS', 'SHA256SUMS.sig', 'SHA256SUMS.sshsig'];
    assert.deepEqual(readdirSync(out).toSorted(), [...files, ...sums].toSorted());
    const checked = await capture(['sha256sum', '--check', '--strict', 'SHA256SUMS'], { cwd: out });
    assert.deepEqual(checked.trim().split('\n').toSorted(), files.map((file) => `${file}: OK`).toSorted());
  });

  it('packs both programs as one file, which knows commit, runtime and target, with the licences', async () => {
    const dir = await unpacked(archive);
    const documents = ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES.txt'];
    assert.deepEqual(readdirSync(dir).toSorted(), [...documents, 'bpbroker', 'bpclient'].toSorted());
    const [one, other] = ['bpbroker', 'bpclient'].map((program) => statSync(path.join(dir, program)).ino);
    assert.equal(one, other);
    for (const program of ['bpbroker', 'bpclient']) {
      const { stdout } = await run([path.join(dir, program), '--version'], { env: cleanEnv(dir) });
      assert.equal(stdout, `${program} ${version} ${built}\n`);
    }
    const licences = readFileSync(path.join(dir, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const { name } of bundledPackages()) assert.ok(licences.includes(`\n${name} `), name);
    assert.match(licences, /JavaScriptCore[^]*GNU LIBRARY GENERAL PUBLIC LICENSE/);
  });

  it('packs the client alone, which is the client whatever it is called', async () => {
    const dir = await unpacked(clientArchive);
    const documents = ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES.txt'];
    assert.deepEqual(readdirSync(dir).toSorted(), [...documents, 'bpclient'].toSorted());
    renameSync(path.join(dir, 'bpclient'), path.join(dir, 'bpbroker'));
    const command = (...args: string[]): Promise<RunResult> =>
      run([path.join(dir, 'bpbroker'), ...args], { env: cleanEnv(dir) });
    assert.equal((await command('--version')).stdout, `bpclient ${version} ${built}\n`);
    assert.match((await command('start')).stderr, /^Fatal error: Unknown command 'start'/);
  });

  it('row "a tampered release": has installers with the public key, and the private one nowhere', async () => {
    const { openssl, ssh } = readSigningKey(keyFile);
    const shell = readFileSync(path.join(out, 'install.sh'), 'utf8');
    assert.ok(shell.includes(`\nkey_openssl=${openssl}\nkey_ssh=${ssh}\n`));
    assert.ok(readFileSync(path.join(out, 'install.ps1'), 'utf8').includes(`\n  $signingKey = '${ssh}'\n`));
    const pem = readFileSync(keyFile, 'utf8').split('\n')[1] ?? '';
    // The key itself ends what the PEM holds.
    const secrets = [Buffer.from(pem), Buffer.from(pem, 'base64').subarray(-32)];
    const places = [out, await unpacked(archive), await unpacked(clientArchive)];
    const files = places.flatMap((dir) => readdirSync(dir).map((name) => path.join(dir, name)));
    assert.ok(files.length > 15);
    for (const file of files) {
      const content = readFileSync(file);
      for (const secret of secrets) assert.ok(!content.includes(secret), file);
    }
  });

  it('lists what is inside, and nothing that only developers use', () => {
    const bom = JSON.parse(readFileSync(path.join(out, `bpbroker-${version}.cdx.json`), 'utf8')) as {
      metadata: { component: { name: string } };
      components: { name: string; version: string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    assert.equal(bom.metadata.component.name, 'bpbroker');
    const inside = [...bundledPackages(), { name: 'bun', version: bun }];
    assert.deepEqual(
      bom.components.map((one) => `${one.name}@${one.version}`).toSorted(),
      inside.map((one) => `${one.name}@${one.version}`).toSorted(),
    );
    const names = new Set(bom.components.map(({ name }) => name));
    for (const name of ['hono', 'valibot', 'citty', 'consola', 'bun']) assert.ok(names.has(name), name);
    for (const name of ['typescript', 'oxlint']) assert.ok(!names.has(name), name);
    const own = bom.dependencies.find(({ ref }) => ref === `bpbroker@${version}`);
    assert.ok(own?.dependsOn.includes(`bun@${bun}`));
  });

  it('makes the same bytes when another process does it again elsewhere', async () => {
    const again = path.join(tempDir(), 'again');
    const file = path.join(root, 'build', 'release.ts');
    const signing = path.join(root, 'build', 'release', 'sign.ts');
    const code = `const [, file, signing, keyFile, options] = process.argv;
      const { buildRelease } = await import(file);
      const { readSigningKey } = await import(signing);
      await buildRelease({ ...JSON.parse(options), key: readSigningKey(keyFile) });`;
    const options = JSON.stringify({ out: again, source, targets: host });
    await capture([tool('node'), '--input-type=module', '-e', code, file, signing, keyFile, options], {
      env: { ...process.env, TZ: 'Asia/Tokyo', LC_ALL: 'C' },
    });
    for (const name of ['SHA256SUMS', 'SHA256SUMS.sig', 'SHA256SUMS.sshsig'])
      assert.deepEqual(readFileSync(path.join(again, name)), readFileSync(path.join(out, name)), name);
  });

  /** All targets take minutes to build; those that `npm run build:all` has built are measured where they are. */
  it('makes archives of at most 55 MB', () => {
    const all = path.join(root, 'dist', 'release');
    const isArchive = (name: string): boolean => /\.(?:tar\.gz|zip)$/.test(name);
    for (const dir of [out, all].filter((one) => existsSync(one))) {
      const archives = readdirSync(dir).filter(isArchive);
      assert.ok(archives.length > 0);
      for (const name of archives) {
        const { size } = statSync(path.join(dir, name));
        assert.ok(size <= 55_000_000, `${name}: ${size}`);
        assert.ok(size > 30_000_000, `${name}: ${size}`);
      }
    }
  });
});

describe('readSource()', () => {
  it('returns the commit and its time, even, and whether files differ from it', async () => {
    const dir = tempDir();
    const git = (...args: string[]): Promise<string> =>
      capture(['git', '-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args], {
        cwd: dir,
        env: { ...process.env, GIT_COMMITTER_DATE: '1700000001 +0000' },
      });
    await git('init', '-q');
    writeFileSync(path.join(dir, 'a'), '');
    await git('add', '.');
    await git('commit', '-qm', 'a');
    const clean = await readSource(dir, {});
    assert.match(clean.commit ?? '', /^[0-9a-f]{12}$/);
    assert.equal(clean.time, 1_700_000_000);
    writeFileSync(path.join(dir, 'a'), 'b');
    assert.deepEqual(await readSource(dir, { SOURCE_DATE_EPOCH: '1600000000' }), {
      commit: `${clean.commit}-dirty`,
      time: 1_600_000_000,
    });
  });

  it('works outside a clone', async () => {
    assert.deepEqual(await readSource(tempDir(), {}), {
      commit: undefined,
      time: Date.UTC(1980, 0, 2) / 1000,
    });
  });
});

describe('bundledPackages()', () => {
  it('finds what dependencies depend on, nested copies too, and no optional peers', () => {
    const dir = tempDir();
    const one = { version: '1.0.0' };
    const peers = { peerDependencies: { c: '1' }, peerDependenciesMeta: { c: { optional: true } } };
    const packages = {
      '': { dependencies: { a: '1', b: '1' } },
      'node_modules/a': { ...one, dependencies: { shared: '1' }, ...peers },
      'node_modules/b': { ...one, dependencies: { shared: '2' } },
      'node_modules/b/node_modules/shared': { version: '2.0.0' },
      'node_modules/c': one,
      'node_modules/shared': one,
    };
    writeFileSync(path.join(dir, 'package-lock.json'), JSON.stringify({ packages }));
    const names = bundledPackages(dir).map((found) => `${found.name}@${found.version}`);
    assert.deepEqual(names.toSorted(), ['a@1.0.0', 'b@1.0.0', 'shared@1.0.0', 'shared@2.0.0']);
  });
});

describe('archiveName()', () => {
  it('has version, system, processor and variant', () => {
    const names = targets.map((target) => archiveName('bpbroker', target, '1.2.3'));
    assert.ok(names.includes('bpbroker-1.2.3-linux-x64-musl-baseline.tar.gz'));
    assert.ok(names.includes('bpbroker-1.2.3-windows-arm64.zip'));
    assert.equal(
      archiveName('bpclient', targets[0] ?? assert.fail(), '1.2.3'),
      'bpclient-1.2.3-linux-x64.tar.gz',
    );
    for (const name of names)
      assert.match(
        name,
        /^bpbroker-1\.2\.3-(?:linux|darwin|windows)-(?:x64|arm64)(?:-musl)?(?:-baseline)?\.(?:tar\.gz|zip)$/,
      );
  });
});
