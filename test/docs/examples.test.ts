import { cpSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { reference } from '../programs/support.ts';
import { blocksOf, exchangesOf } from '../support/documents/documents.ts';
import { openSessions, type Sessions } from '../support/programs/session.ts';
import { tempDir } from '../support/temp.ts';

/** Its other blocks, of the OSSEC and cluster examples, are played by `test/examples`. */
describe(
  'examples/README.md',
  { skip: process.platform === 'win32' ? 'its sessions are for bash' : false },
  () => {
    let terminal: Sessions;
    before(async () => {
      const dir = tempDir();
      cpSync(path.join(root, 'examples'), dir, { recursive: true });
      terminal = await openSessions({ launcher: reference, dir });
    });
    for (const { language, text, line } of blocksOf('examples/README.md')) {
      if (language === 'console')
        it(`line ${line}: ${exchangesOf(text)[0]?.command}`, () => terminal.type(text));
    }
  },
);
