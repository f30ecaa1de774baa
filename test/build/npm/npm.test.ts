import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { buildPackage, type Manifest, packageManifest } from '../../../build/npm.ts';
import { assets, root, tool } from '../../../build/root.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

const program = `#!/usr/bin/env node
import { runtime } from '#runtime';
import { name } from '../index.ts';
process.stdout.write(\`\${name} on \${runtime}\`);
`;

/** A project of this one's shape and configuration, with next to no sources. */
function smallProject(): string {
  const dir = tempDir();
  for (const file of ['package.json', 'tsconfig.json', 'build/tsconfig.npm.json']) {
    cpSync(path.join(root, file), path.join(dir, file));
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(dir, 'node_modules'));
  const files = {
    'README.md': '# small',
    'src/index.ts': `export type { Name } from './client/index.ts';\nexport const name: string = 'small';\n`,
    'src/client/index.ts': `export interface Name {\n  readonly length: number;\n}\n`,
    'src/cli/bpbroker.ts': program,
    'src/cli/bpclient.ts': program,
    'src/runtime/node.ts': `export const runtime: string = 'node';\n`,
    'src/runtime/bun.ts': `export const runtime: string = 'bun';\n`,
    'src/runtime/deno.ts': `export const runtime: string = 'deno';\n`,
    'dist/npm/stale.js': '',
  };
  for (const [file, text] of Object.entries(files)) write(dir, file, text);
  for (const asset of assets) write(dir, path.join('src', asset), '');
  return dir;
}

function write(dir: string, file: string, text: string): void {
  mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
  writeFileSync(path.join(dir, file), text);
}

describe('buildPackage()', () => {
  let project = '';
  let out = '';

  before(async () => {
    project = smallProject();
    out = path.join(project, 'dist', 'npm');
    await buildPackage(project);
  });

  it('emits sources, types and documents, and removes what was there', () => {
    for (const file of ['index.js', 'index.d.ts', 'client/index.js', 'README.md', 'package.json']) {
      assert.ok(existsSync(path.join(out, file)), file);
    }
    assert.ok(!existsSync(path.join(out, 'stale.js')));
  });

  it('leaves nothing of its own beside the package', async () => {
    const { stdout } = await run(['ls', '-A', path.join(project, 'dist')]);
    assert.equal(stdout, 'npm\n');
  });

  it('makes the programs executable files', { skip: process.platform === 'win32' && 'no modes' }, () => {
    const file = path.join(out, 'cli', 'bpbroker.js');
    assert.match(readFileSync(file, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    assert.equal(statSync(file).mode & 0o777, 0o755);
  });

  for (const [runtime, command] of Object.entries({
    node: [tool('node')],
    bun: [tool('bun')],
    deno: [tool('deno'), 'run', '-A', '--no-lock'],
  })) {
    it(`makes a program that starts on ${runtime} with the seam of ${runtime}`, async () => {
      const { stdout, stderr } = await run([...command, path.join(out, 'cli', 'bpbroker.js')]);
      assert.equal(stdout, `small on ${runtime}`, stderr);
    });
  }

  it('is found by its name, with types that check in a strict project', async () => {
    const user = tempDir();
    mkdirSync(path.join(user, 'node_modules'));
    symlinkSync(out, path.join(user, 'node_modules', 'bpbroker'));
    write(user, 'package.json', '{"type": "module"}');
    write(
      user,
      'use.ts',
      `import { name, type Name } from 'bpbroker';
       import type { Name as Same } from 'bpbroker/client';
       const it: Name & Same = name;
       // @ts-expect-error: shows that the types are not any
       const wrong: Name = 1;
       process.stdout.write(String(it.length) + String(wrong));`,
    );
    const flags = ['--strict', '--module', 'nodenext', '--noEmit', '--types', ''];
    write(user, 'globals.d.ts', 'declare const process: { stdout: { write(text: string): void } };');
    const checked = await run([process.execPath, tool('tsc'), ...flags, 'use.ts', 'globals.d.ts'], {
      cwd: user,
    });
    assert.equal(checked.stdout, '');
    const { stdout } = await run([tool('node'), 'use.ts'], { cwd: user });
    assert.equal(stdout, '51');
  });

  const refused: Record<string, [string, RegExp]> = {
    'a program without its #! line': [`export {};\n`, /bpclient\.js begins with "export \{\};"/],
    'sources that do not compile': [`#!/usr/bin/env node\nconst a: number = 'text';\n`, /TS2322/],
  };
  for (const [what, [source, message]] of Object.entries(refused)) {
    it(`refuses ${what} and leaves the former package`, async () => {
      const broken = smallProject();
      write(broken, 'src/cli/bpclient.ts', source);
      await assert.rejects(buildPackage(broken), message);
      assert.ok(existsSync(path.join(broken, 'dist', 'npm', 'stale.js')));
    });
  }
});

describe('packageManifest()', () => {
  const project = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
  const manifest = packageManifest(project);

  it('has paths as they are inside the package', () => {
    assert.deepEqual(manifest['bin'], { bpbroker: './cli/bpbroker.js', bpclient: './cli/bpclient.js' });
    assert.deepEqual(manifest['imports'], {
      '#runtime': { bun: './runtime/bun.js', deno: './runtime/deno.js', default: './runtime/node.js' },
    });
    assert.doesNotMatch(JSON.stringify(manifest), /dist\/|src\//);
  });

  it('keeps what users need and nothing that only developers do', () => {
    assert.equal(manifest['version'], project['version']);
    assert.deepEqual(manifest['dependencies'], project['dependencies']);
    assert.deepEqual(manifest['engines'], project['engines']);
    for (const key of ['scripts', 'devDependencies', 'private', 'allowScripts']) {
      assert.equal(manifest[key], undefined, key);
    }
  });
});
