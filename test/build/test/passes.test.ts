import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findHostNode } from '../../../build/test/node20.ts';
import { filesOf, type Pass, passes } from '../../../build/test/passes.ts';
import { tool } from '../../../build/root.ts';

const pass: Pass = { name: 'bun', suites: ['test/build', 'test/architecture.test.ts'], command: () => [] };

describe('filesOf()', () => {
  it('finds the test files of folders and files, relative to the project', () => {
    const files = filesOf(pass);
    assert.ok(files.includes('test/build/test/passes.test.ts'));
    assert.ok(files.includes('test/architecture.test.ts'));
    assert.ok(files.every((file) => file.endsWith('.test.ts')));
  });

  it('keeps to the files and folders that are asked for', () => {
    assert.deepEqual(filesOf(pass, ['./test/build/test/passes.test.ts']), ['test/build/test/passes.test.ts']);
    assert.ok(filesOf(pass, ['test/build/']).length > 3);
    assert.deepEqual(filesOf(pass, ['test/bui']), []);
  });

  it('refuses a suite that is not there', () => {
    assert.throws(
      () => filesOf({ ...pass, suites: ['test/absent.test.ts'] }),
      /no test file at test\/absent/,
    );
  });
});

describe('passes', () => {
  it('run everything on Node 24 and the common suites on every other runtime', () => {
    assert.deepEqual(
      passes.map(({ name }) => name),
      ['node24', 'bun', 'deno', 'node20'],
    );
    assert.deepEqual(passes[0]?.suites, ['test']);
    assert.ok(passes[0]?.command([], 'report').includes(tool('node')));
  });
});

describe('findHostNode()', () => {
  it('passes by what npm puts on the PATH for scripts', () => {
    const host = findHostNode({ PATH: `${tool('node').replace(/\/node$/, '')}:${process.env['PATH']}` });
    assert.ok(host && !host.file.includes('node_modules'));
    assert.match(host.version, /^\d+\.\d+\.\d+/);
  });

  it('returns nothing when there is none', () => {
    assert.equal(findHostNode({ PATH: '/nowhere' }), undefined);
  });
});
