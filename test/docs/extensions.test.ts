import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { tool } from '../../build/root.ts';
import { reference } from '../programs/support.ts';
import { consumer, strictProject } from '../support/documents/consumer.ts';
import { type Block, blocksOf, exchangesOf, matches } from '../support/documents/documents.ts';
import { playFrames } from '../support/network/frames.ts';
import { run } from '../support/programs/programs.ts';
import { openSessions, type Sessions } from '../support/programs/session.ts';
import { waitFor } from '../support/wait.ts';

const page = 'docs/extensions.md';
const blocks = blocksOf(page);
const isFile = ({ language, title }: Block): boolean => language !== 'frames' && title !== '';
const files = blocks.filter(isFile);
const sessions = blocks.filter(({ language }) => language === 'console');

describe(page, { skip: process.platform === 'win32' ? 'its sessions are for bash' : false }, () => {
  let dir: string;
  let terminal: Sessions;
  before(async () => {
    const written = Object.fromEntries(files.map(({ title, text }) => [title, text]));
    dir = consumer({ ...written, 'tsconfig.json': strictProject(['*.ts', 'demo/*.ts'], ['node']) });
    terminal = await openSessions({ launcher: reference, dir, programs: { node: [tool('node')] } });
  });

  it('has no block that nothing runs', () => {
    const typed = sessions.map(({ text }) => text).join('');
    for (const { title } of files) {
      const installed = path.dirname(title) === '.' ? title : path.dirname(title);
      assert.ok(
        exchangesOf(typed).some(({ command }) => command.includes(installed)),
        `${title} is not used`,
      );
    }
    const others = blocks.filter((block) => !isFile(block)).map(({ language }) => language);
    assert.deepEqual(new Set(others), new Set(['console', 'log', 'frames']));
  });

  it('shows TypeScript whose types check', async () => {
    const { code, stdout } = await run([process.execPath, tool('tsc'), '-p', '.'], { cwd: dir });
    assert.deepEqual([code, stdout], [0, '']);
  });

  for (const { language, title, text, line } of blocks) {
    if (language === 'console')
      it(`line ${line}: ${exchangesOf(text)[0]?.command}`, () => terminal.type(text));
    if (language === 'log') {
      it(`line ${line}: the log`, async () => {
        for (const shown of text.trim().split('\n'))
          await waitFor(shown, () =>
            terminal
              .brokerLog()
              .split('\n')
              .some((printed) => matches(shown, printed, new Map())),
          );
      });
    }
    if (language === 'frames') {
      it(`line ${line}: the frames of ${title}`, async () => {
        const name = title.replace(/\.\w+$/, '').replaceAll('/', '.');
        await playFrames(text, { file: path.join(dir, title), name, dir });
      });
    }
  }
});
