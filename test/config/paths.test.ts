import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { findHome, isWritable } from '../../src/config/paths.ts';
import { tempDir } from '../support/temp.ts';

const isLinuxRoot = process.platform === 'linux' && process.getuid?.() === 0;

describe('findHome()', () => {
  it("is the user's own tree where the global one cannot be written, and names that", () => {
    const dir = tempDir();
    const env = { APPDATA: dir, XDG_CONFIG_HOME: dir, HOME: dir };
    const asked: string[] = [];
    const refuses = (at: string): boolean => {
      asked.push(at);
      return false;
    };
    const { root, fallbackFor } = findHome(env, refuses);
    assert.equal(root, path.join(dir, 'bpbroker'));
    assert.deepEqual(asked, [path.join(fallbackFor ?? '', 'etc')]);
    assert.equal(findHome(env, () => true).fallbackFor, undefined);
  });
});

describe('isWritable()', () => {
  it('on Windows finds out by a folder of its own, of which nothing stays', () => {
    const dir = tempDir();
    assert.equal(isWritable(path.join(dir, 'bpbroker', 'etc'), 'win32'), true);
    assert.deepEqual(readdirSync(dir), []);
  });

  it('on Windows is true also where that folder cannot be removed', () => {
    const asked: string[] = [];
    const refuse = (made: string): never => {
      asked.push(made);
      throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
    };
    const dir = tempDir();
    assert.equal(isWritable(path.join(dir, 'etc'), 'win32', refuse), true);
    assert.deepEqual(
      readdirSync(dir).map((name) => path.join(dir, name)),
      asked,
    );
  });

  it(
    'on Windows does not believe access(), which allows every folder',
    { skip: isLinuxRoot ? false : 'needs root on Linux, whose /proc is such a folder' },
    () => {
      // By access(), as on Windows, Node and Bun would take it for one that can be written.
      assert.equal(isWritable('/proc/bpbroker/etc', 'win32'), false);
    },
  );
});
