import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root, tool } from '../../build/root.ts';
import { run } from '../support/programs/run.ts';

/** What the broker's log writes for one event. */
async function logged(format: string, message: string, fields: Record<string, string>): Promise<string> {
  const script = `
    const { createLog } = await import(${JSON.stringify(path.join(root, 'src/cli/terminal/log.ts'))});
    createLog(${JSON.stringify(format)}, 'debug').warn(${JSON.stringify(message)}, ${JSON.stringify(fields)});
  `;
  const { stderr, code } = await run([tool('node'), '--input-type=module', '-e', script], { cwd: root });
  assert.equal(code, 0, stderr);
  return stderr;
}

describe('row "names", row "logs": control characters never reach a log raw', () => {
  const nasty = 'a\r\nready: x\u001b[2J\u0000\u007f\u009b31m\u2028b';

  for (const format of ['text', 'json']) {
    it(`in its form ${format}, which stays one line an event`, async () => {
      const line = await logged(format, `message ${nasty}`, { path: nasty, plain: 'x' });
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028]/);
      assert.ok(line.endsWith('\n'));
      for (const escaped of ['\\u001b[2J', '\\u009b31m', '\\u0000']) assert.ok(line.includes(escaped), line);
    });
  }

  it('and JSON reads as what was said', async () => {
    const event = JSON.parse(await logged('json', 'm', { path: nasty })) as Record<string, string>;
    assert.deepEqual([event['level'], event['message'], event['path']], ['warn', 'm', nasty]);
  });
});
