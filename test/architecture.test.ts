import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { findBreaches } from '../build/architecture.ts';
import { parse, type Sources } from '../build/executable/imports.ts';
import { fullFolders, longFiles, maxFiles } from '../build/layers.ts';
import { root } from '../build/root.ts';
import { listFiles } from '../build/stamp.ts';

function readSources(...folders: string[]): Sources {
  const files = folders.flatMap((folder) => listFiles(path.join(root, folder)));
  return Object.fromEntries(
    files
      .filter((file) => file.endsWith('.ts'))
      .map((file) => [path.relative(root, file).replaceAll(path.sep, '/'), readFileSync(file, 'utf8')]),
  );
}

function breaches(sources: Sources): string[] {
  return findBreaches(parse(sources));
}

describe('the architecture of this tree', () => {
  it('holds', () => {
    assert.deepEqual(breaches(readSources('src', 'build', 'test')), []);
  });

  it('has reasons only for files that still exist', () => {
    const present = readSources('src', 'build', 'test');
    assert.deepEqual(
      Object.keys(longFiles).filter((file) => !present[file]),
      [],
    );
  });

  it('has reasons only for folders that still hold too many files', () => {
    const files = Object.keys(readSources('src', 'build', 'test'));
    const filesIn = (folder: string): number =>
      files.filter((file) => path.posix.dirname(file) === folder).length;
    assert.deepEqual(
      Object.keys(fullFolders).filter((folder) => filesIn(folder) <= maxFiles),
      [],
    );
  });
});

describe('parse()', () => {
  it('tells static, dynamic and type imports apart', () => {
    const { 'a.ts': file } = parse({
      'a.ts': `
        import a, { type B } from './static.ts';
        import './side-effect.ts';
        import { type OnlyTypes } from './still-loads.ts';
        import type { C } from './type.ts';
        export * from './re-export.ts';
        export type { D } from './type-re-export.ts';
        type E = import('./in-type.ts').E;
        const { f } = await import('./dynamic.ts');`,
    });
    assert.deepEqual(
      file?.imports.map(({ specifier, kind }) => `${kind} ${specifier}`),
      [
        'static ./static.ts',
        'static ./side-effect.ts',
        'static ./still-loads.ts',
        'type ./type.ts',
        'static ./re-export.ts',
        'type ./type-re-export.ts',
        'type ./in-type.ts',
        'dynamic ./dynamic.ts',
      ],
    );
  });

  it('is not deceived by comments, strings and regular expressions', () => {
    const { 'a.ts': file } = parse({
      'a.ts': `
        // import './comment.ts'; Bun.version
        const text = "import './string.ts'; Bun.version";
        const pattern = /['"]/; const other = \`import('./template.ts') \${1}\`;`,
    });
    assert.deepEqual(file?.imports, []);
    assert.deepEqual(file?.runtimes, []);
  });

  it('counts lines as an editor does', () => {
    const files = parse({ 'a.ts': 'export {};\n', 'b.ts': 'export {};\n\nexport {};' });
    assert.deepEqual([files['a.ts']?.lines, files['b.ts']?.lines], [1, 3]);
  });
});

describe('findBreaches()', () => {
  it('lets imports go down', () => {
    const sources = {
      'src/protocol/names.ts': `import * as v from 'valibot'; import { createHash } from 'node:crypto';`,
      'src/store/store.ts': `import type { N } from '../protocol/names.ts';`,
      'src/modules/ping.ts': `import { S } from '../store/store.ts';`,
      'src/api/api.ts': `import { p } from '../modules/ping.ts'; import { c } from '../config/schema.ts';`,
      'src/config/schema.ts': 'export {};',
      'src/broker/broker.ts': `import { a } from '../api/api.ts'; import { runtime } from '#runtime';`,
      'src/cli/bpbroker.ts': `await import('../broker/broker.ts');`,
    };
    assert.deepEqual(breaches(sources), []);
  });

  const refused: Record<string, [Sources, RegExp]> = {
    'an import that goes up': [
      { 'src/protocol/a.ts': `import '../store/b.ts';` },
      /^src\/protocol\/a\.ts imports src\/store\/b\.ts; protocol may import no other folder$/,
    ],
    'an import of types that goes up': [
      { 'src/config/a.ts': `import type { B } from '../broker/b.ts';` },
      /config\/a\.ts imports src\/broker\/b\.ts; config may import protocol$/,
    ],
    'an import() that goes up': [
      { 'src/client/a.ts': `await import('../broker/b.ts');` },
      /client\/a\.ts imports src\/broker\/b\.ts/,
    ],
    'a driver where only the store contract is allowed': [
      { 'src/modules/a.ts': `import '../store/file/file.ts';` },
      /modules\/a\.ts imports src\/store\/file\/file\.ts/,
    ],
    'an import out of src': [
      { 'src/cli/a.ts': `import '../../build/root.ts';` },
      /src\/cli\/a\.ts imports build\/root\.ts/,
    ],
    'a folder that is no layer': [{ 'src/utils/a.ts': 'export {};' }, /src\/utils\/a\.ts is in no layer/],
    'a file system in protocol': [
      { 'src/protocol/a.ts': `import { readFile } from 'node:fs/promises';` },
      /protocol\/a\.ts loads node:fs\/promises; it runs anywhere/,
    ],
    'a built-in module without its prefix in the app': [
      { 'src/api/a.ts': `import { isIP } from 'net';` },
      /api\/a\.ts loads net; it runs anywhere/,
    ],
    'a timer of one runtime in the memory store': [
      { 'src/store/memory/a.ts': `import { setTimeout } from 'node:timers';` },
      /memory\/a\.ts loads node:timers; it runs anywhere/,
    ],
    'a process by way of the configuration in the app': [
      {
        'src/api/a.ts': `import { checkConfig } from '../config/schema.ts';`,
        'src/config/schema.ts': `const { run } = await import('./run.ts');`,
        'src/config/run.ts': `import { spawn } from 'node:child_process';`,
      },
      /api\/a\.ts loads node:child_process \(by src\/config\/schema\.ts > src\/config\/run\.ts\); it runs anywhere/,
    ],
    'the seam of runtimes in modules': [
      { 'src/modules/a.ts': `import type { R } from '../runtime/runtime.ts';` },
      /modules\/a\.ts imports src\/runtime\/runtime\.ts; modules may import protocol, store\/store\.ts/,
    ],
    'Bun outside runtime': [{ 'src/broker/a.ts': 'Bun.serve({});' }, /broker\/a\.ts names Bun;/],
    'Deno by way of globalThis': [{ 'src/cli/a.ts': `globalThis['Deno'];` }, /cli\/a\.ts names Deno;/],
    'versions.bun outside runtime': [
      { 'src/cli/a.ts': `process.versions['bun']; process.versions.bun;` },
      /cli\/a\.ts names versions\.bun;/,
    ],
    'a module of one runtime': [
      { 'src/store/a.ts': `import { Database } from 'bun:sqlite';` },
      /store\/a\.ts names bun:sqlite;/,
    ],
    'a cycle': [
      { 'src/config/a.ts': `import './b.ts';`, 'src/config/b.ts': `import './a.ts';` },
      /circle: src\/config\/a\.ts > src\/config\/b\.ts > src\/config\/a\.ts/,
    ],
    'a long file': [{ 'src/config/a.ts': '\n'.repeat(351) }, /config\/a\.ts has 351 lines; 350 is the most/],
    'a folder without order': [
      Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`src/config/a/${n}.ts`, ''])),
      /src\/config\/a has 16 files; 15 is the most/,
    ],
    'a long test': [{ 'test/a.test.ts': '\n'.repeat(351) }, /test\/a\.test\.ts has 351 lines/],
  };
  for (const [what, [sources, message]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      const found = breaches(sources);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', message);
    });
  }

  it('refuses what a client program loads of the server, by any number of steps', () => {
    const found = breaches({
      'src/cli/bpclient.ts': `import './commands/a.ts';`,
      'src/cli/commands/a.ts': `import { b } from '../../broker/b.ts'; import { consola } from 'consola';`,
      'src/broker/b.ts': `import { Hono } from 'hono';`,
    });
    assert.deepEqual(found, [
      'src/cli/bpclient.ts loads src/broker/b.ts (by src/cli/bpclient.ts > src/cli/commands/a.ts)',
      'src/cli/bpclient.ts loads consola (by src/cli/bpclient.ts > src/cli/commands/a.ts)',
    ]);
  });

  it('lets a client program load the server by import() and name its types', () => {
    const sources = {
      'src/cli/bpclient.ts': `import type { B } from '../broker/b.ts'; await import('../broker/b.ts');`,
      'src/broker/b.ts': 'export interface B {}',
    };
    assert.deepEqual(breaches(sources), []);
  });

  it('judges what loads by the runtime of the executables', () => {
    const sources = {
      'src/cli/bpclient.ts': `import { runtime } from '#runtime';`,
      'src/runtime/bun.ts': `export const runtime = Bun;`,
      'src/runtime/node.ts': `import 'node:https';`,
    };
    assert.deepEqual(breaches(sources), []);
    assert.match(
      breaches({ ...sources, 'src/runtime/bun.ts': `import 'node:https';` }).join('\n'),
      /bpclient\.ts loads node:https/,
    );
  });
});
