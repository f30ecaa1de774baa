import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildExecutable } from '../../../build/executable.ts';
import { root, tool } from '../../../build/root.ts';
import { executableName } from '../../../build/release/targets.ts';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

/** Says what reached it: a variable of `.env`, and which `valibot` it has. */
const program = `
import * as v from 'valibot';
console.log(JSON.stringify({ env: process.env['PLANTED'] ?? null, object: typeof v.object, argv: process.argv.length }));
`;

const writeMark = (mark: string): string =>
  `require('node:fs').writeFileSync(${JSON.stringify(mark)}, 'code ran: ' + __filename);`;

/** A directory whose owner wants code to run in whatever is started there. */
function plant(dir: string, mark: string): void {
  const files = {
    '.env': 'PLANTED=1\nNODE_OPTIONS=--require ./preload.cjs\nBUN_OPTIONS=--preload=./preload.cjs\n',
    '.env.local': 'PLANTED=1\n',
    '.env.production': 'PLANTED=1\n',
    'bunfig.toml': 'preload = ["./preload.cjs"]\n[run]\nbun = true\n',
    '.bunfig.toml': 'preload = ["./preload.cjs"]\n',
    'preload.cjs': writeMark(mark),
    'package.json': `{"type": "module", "imports": {"#runtime": "./preload.cjs"}, "main": "./preload.cjs"}`,
    'tsconfig.json': `{"compilerOptions": {"paths": {"valibot": ["./preload.cjs"], "*": ["./preload.cjs"]}}}`,
    'node_modules/valibot/package.json': `{"name": "valibot", "main": "index.cjs"}`,
    'node_modules/valibot/index.cjs': writeMark(mark),
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), text);
  }
}

async function start(executable: string): Promise<RunResult & { mark: string }> {
  const dir = tempDir();
  const mark = path.join(tempDir(), 'mark');
  plant(dir, mark);
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir };
  return { mark, ...(await run([executable, 'ping'], { cwd: dir, env })) };
}

describe('row "the working directory": an executable started in a hostile directory', () => {
  let source = '';

  // The entry is inside the project, so that the build finds its dependencies.
  before(() => {
    source = path.join(root, 'dist', `.hostile-${process.pid}.ts`);
    mkdirSync(path.dirname(source), { recursive: true });
    writeFileSync(source, program);
  });
  after(() => rmSync(source));

  it('runs none of its code and takes neither its variables nor its packages', async () => {
    const outfile = path.join(tempDir(), executableName('ours'));
    await buildExecutable({ entry: source, outfile });
    const { mark, code, stdout, stderr } = await start(outfile);
    assert.equal(existsSync(mark), false);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { env: null, object: 'function', argv: 3 });
  });

  it('would run it if it were built with the defaults of Bun, so that this test can fail', async () => {
    const outfile = path.join(tempDir(), executableName('default'));
    const command = [tool('bun'), 'build', '--compile', `--outfile=${outfile}`, source];
    assert.equal((await run(command, { cwd: root })).code, 0);
    const { mark, stdout } = await start(outfile);
    assert.ok(existsSync(mark));
    assert.match(stdout, /"env":"1"/);
  });
});
