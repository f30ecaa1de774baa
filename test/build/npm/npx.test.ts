import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { findHostNode } from '../../../build/test/node20.ts';
import { root } from '../../../build/root.ts';
import { blocksOf } from '../../support/documents/documents.ts';
import { cleanEnv, run } from '../../support/programs/programs.ts';
import { commandsOf } from '../../support/documents/shell-words.ts';
import { tempDir } from '../../support/temp.ts';

const host = findHostNode();

/** What README has somebody type in a clone, without `npx` and the program. */
const shown = blocksOf('README.md').find(({ text }) => text.startsWith('npx bpbroker'))?.text ?? '';
const [[, , ...typed] = []] = commandsOf(shown);

it(
  'npx in a clone says what to do before the build, and finds the programs after it',
  { skip: !host && 'no npm' },
  async () => {
    const clone = path.join(tempDir(), 'clone');
    cpSync(path.join(root, 'build', 'bin'), path.join(clone, 'build', 'bin'), { recursive: true });
    const { name, version, type, bin } = JSON.parse(
      readFileSync(path.join(root, 'package.json'), 'utf8'),
    ) as Record<string, unknown>;
    writeFileSync(path.join(clone, 'package.json'), JSON.stringify({ name, version, type, bin }));
    assert.ok(typed.length > 0);
    const home = tempDir();
    const env = cleanEnv(home, {
      npm_config_cache: path.join(home, 'npm'),
      npm_config_offline: 'true',
      PATH: `${path.dirname(host?.file ?? '')}:${process.env['PATH'] ?? ''}`,
    });
    const npx = (program: string) => run(['npx', program, ...typed], { cwd: clone, env });
    for (const program of ['bpbroker', 'bpclient']) {
      const { code, stdout, stderr } = await npx(program);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(
        stderr,
        new RegExp(
          `^Fatal error: ${program} has not been built in \\S+clone\\S*: run 'npm run build:npm' there`,
        ),
      );
    }
    mkdirSync(path.join(clone, 'dist', 'npm', 'cli'), { recursive: true });
    for (const program of ['bpbroker', 'bpclient']) {
      const built = path.join(clone, 'dist', 'npm', 'cli', `${program}.js`);
      writeFileSync(built, 'console.log(JSON.stringify(process.argv.slice(1)));');
      const { stdout, stderr } = await npx(program);
      assert.deepEqual(JSON.parse(stdout || 'null'), [built, ...typed], stderr);
    }
  },
);
