import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { tool } from '../../../build/root.ts';
import { type Case, readJUnit } from '../../../build/test/junit.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

const tests = `
import { describe, it } from 'node:test';
describe('a <suite>', () => {
  it('passes & "more"', () => {});
  it('fails', () => { throw new Error('</testcase><skipped message="no"/>'); });
  it('is skipped', { skip: 'needs "root": run <as> root' }, () => {});
});`;

describe('readJUnit()', () => {
  const reports: Record<string, (report: string) => string[]> = {
    node: (report) => [
      tool('node'),
      '--test',
      '--test-reporter=junit',
      `--test-reporter-destination=${report}`,
      'a.test.mjs',
    ],
    bun: (report) => [
      tool('bun'),
      'test',
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      './a.test.mjs',
    ],
    deno: (report) => [tool('deno'), 'test', '-A', '--no-lock', `--junit-path=${report}`, 'a.test.mjs'],
  };

  for (const [runner, command] of Object.entries(reports)) {
    describe(`on a report of ${runner}`, () => {
      let cases: Case[] = [];
      before(async () => {
        const cwd = tempDir();
        writeFileSync(path.join(cwd, 'a.test.mjs'), tests);
        const env: Record<string, string> = { PATH: process.env['PATH'] ?? '', HOME: cwd };
        const { code } = await run(command('report.xml'), { cwd, env });
        assert.equal(code, 1);
        cases = readJUnit(readFileSync(path.join(cwd, 'report.xml'), 'utf8'));
      });

      it('finds each test once, with its suite and its outcome', () => {
        const found = cases.filter(({ name }) => name !== 'a <suite>');
        assert.deepEqual(
          found.map(({ name, outcome }) => `${outcome}: ${name}`),
          [
            'passed: a <suite> > passes & "more"',
            'failed: a <suite> > fails',
            'skipped: a <suite> > is skipped',
          ],
        );
      });

      it('reads the message of a failure', () => {
        const { reason = '' } = cases.find(({ name }) => name === 'a <suite> > fails') ?? {};
        assert.match(reason, /<\/testcase><skipped message="no"\/>/);
      });

      it('reads the reason of a skip where it is reported', () => {
        const { reason } = cases.find(({ outcome }) => outcome === 'skipped') ?? {};
        assert.equal(reason, runner === 'node' ? 'needs "root": run <as> root' : undefined);
      });
    });
  }

  it('finds nothing in a report that was not written to its end', () => {
    assert.deepEqual(readJUnit('<?xml version="1.0"?>\n<testsuites>\n\t<testcase name="x'), []);
  });
});
