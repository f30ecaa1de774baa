import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { bundledPackages } from '../../build/bundled.ts';
import { capture } from '../../build/process.ts';
import { buildRelease } from '../../build/release.ts';
import { projectVersion, root, tool } from '../../build/root.ts';
import { readSource } from '../../build/source.ts';
import { archiveName, runsHere, targets } from '../../build/targets.ts';
import { cleanEnv, run } from '../support/programs.ts';
import { tempDir } from '../support/temp.ts';

const version = projectVersion();
const bun = (
  JSON.parse(readFileSync(path.join(root, 'node_modules', 'bun', 'package.json'), 'utf8')) as {
    version: string;
  }
).version;
const host = targets.filter((target) => runsHere(target) && !target.baseline);
const [archive = ''] = host.map((target) => archiveName(target, version));
const source = { commit: '0123456789ab', time: Date.UTC(2026, 0, 31) / 1000 };

describe('buildRelease()', () => {
  let out = '';
  before(async () => {
    out = path.join(tempDir(), 'release');
    await buildRelease({ out, source, targets: host });
  });

  it('makes an archive for a target, installers, a bill of materials, and checksums of them all', async () => {
    const files = [archive, 'install.sh', 'install.ps1', `bpbroker-${version}.cdx.json`];
    assert.deepEqual(readdirSync(out).toSorted(), [...files, 'SHA256SUMS'].toSorted());
    const checked = await capture(['sha256sum', '--check', '--strict', 'SHA256SUMS'], { cwd: out });
    assert.deepEqual(checked.trim().split('\n').toSorted(), files.map((file) => `${file}: OK`).toSorted());
  });

  it('packs both programs, which know commit, runtime and target, with the licences', async () => {
    const dir = tempDir();
    await capture(['tar', 'xzf', path.join(out, archive), '-C', dir]);
    const unpacked = path.join(dir, archive.replace('.tar.gz', ''));
    const documents = ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES.txt'];
    assert.deepEqual(readdirSync(unpacked).toSorted(), [...documents, 'bpbroker', 'bpclient'].toSorted());
    for (const program of ['bpbroker', 'bpclient']) {
      const { stdout } = await run([path.join(unpacked, program), '--version'], { env: cleanEnv(dir) });
      const named = `(commit ${source.commit}, bun ${bun}, ${host[0]?.name})`;
      assert.equal(stdout, `${program} ${version} ${named}\n`);
    }
    const licences = readFileSync(path.join(unpacked, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const { name } of bundledPackages()) assert.ok(licences.includes(`\n${name} `), name);
    assert.match(licences, /JavaScriptCore[^]*GNU LIBRARY GENERAL PUBLIC LICENSE/);
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
    for (const name of ['hono', 'valibot', 'tslib', 'bun']) assert.ok(names.has(name), name);
    for (const name of ['typescript', 'oxlint']) assert.ok(!names.has(name), name);
    const own = bom.dependencies.find(({ ref }) => ref === `bpbroker@${version}`);
    assert.ok(own?.dependsOn.includes(`bun@${bun}`));
  });

  it('gives the same bytes when another process does it again elsewhere', async () => {
    const again = path.join(tempDir(), 'again');
    const file = path.join(root, 'build', 'release.ts');
    const code = `const { buildRelease } = await import(process.argv[1]);
      await buildRelease(JSON.parse(process.argv[2]));`;
    const options = JSON.stringify({ out: again, source, targets: host });
    await capture([tool('node'), '--input-type=module', '-e', code, file, options], {
      env: { ...process.env, TZ: 'Asia/Tokyo', LC_ALL: 'C' },
    });
    const sums = (dir: string): string => readFileSync(path.join(dir, 'SHA256SUMS'), 'utf8');
    assert.equal(sums(again), sums(out));
  });
});

describe('readSource()', () => {
  it('gives the commit and its time, even, and says when files differ from it', async () => {
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
    const packages = bundledPackages(root).map(({ name }) => name);
    assert.equal(packages.filter((name) => name === 'tslib').length, 2);
    assert.ok(!packages.some((name) => name.startsWith('@typescript/')));
  });
});

describe('archiveName()', () => {
  it('has version, system, processor and variant', () => {
    const names = targets.map((target) => archiveName(target, '1.2.3'));
    assert.ok(names.includes('bpbroker-1.2.3-linux-x64-musl-baseline.tar.gz'));
    assert.ok(names.includes('bpbroker-1.2.3-windows-arm64.zip'));
    for (const name of names)
      assert.match(
        name,
        /^bpbroker-1\.2\.3-(?:linux|darwin|windows)-(?:x64|arm64)(?:-musl)?(?:-baseline)?\.(?:tar\.gz|zip)$/,
      );
  });
});
