import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { tool } from '../../../build/root.ts';
import { tempDir } from '../../support/temp.ts';
import { noShell, untilNoneLeft } from './lock-support.ts';

const runtimes: readonly (readonly [name: string, command: readonly [string, ...string[]]])[] = [
  ['Node', [process.execPath]],
  ['Bun', [tool('bun')]],
  ['Deno', [tool('deno'), 'run', '-A', '--no-lock']],
];

describe('the watchdog of a lock', { skip: noShell }, () => {
  for (const [name, [file, ...args]] of runtimes) {
    it(`watches before the command begins, on ${name}`, async () => {
      const out = path.join(tempDir(), 'begun');
      const script = path.join(import.meta.dirname, 'dies-at-once.ts');
      const child = spawn(file, [...args, script, out], { stdio: 'ignore' });
      const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      assert.equal(signal, 'SIGKILL');
      assert.ok(existsSync(out), 'the command had begun');
      await untilNoneLeft(out, 5000);
    });
  }
});
