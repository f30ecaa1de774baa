import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { freePort, reference } from '../programs/support.ts';
import { atEnd } from '../support/cleanup.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { blocksOf, exchangesOf } from '../support/documents/documents.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { openSessions, type Sessions } from '../support/programs/session.ts';
import { killIfThere } from '../support/teardown.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal, type Terminal } from '../support/programs/terminal.ts';
import { lacking } from '../support/programs/tools.ts';

const page = 'examples/README.md';

describe(page, { skip: process.platform === 'win32' ? 'its sessions are for bash' : false }, () => {
  let terminal: Sessions;
  before(async () => {
    const dir = tempDir();
    cpSync(path.join(root, 'examples'), dir, { recursive: true });
    terminal = await openSessions({ launcher: reference, dir });
  });
  for (const { language, text, line } of blocksOf(page)) {
    if (language === 'console')
      it(`line ${line}: ${exchangesOf(text)[0]?.command}`, () => terminal.type(text));
  }
});

/** The one block of the page that begins so. */
function block(start: string): string {
  const found = blocksOf(page).filter(({ text }) => text.startsWith(start));
  assert.equal(found.length, 1, start);
  return found[0]?.text ?? '';
}

describe(`${page}: ossec.ts`, { skip: lacking('bash', 'hostname') }, () => {
  it('gives an agent its line, as it is typed on the server and on the agent', async () => {
    const dir = tempDir();
    cpSync(path.join(root, 'examples', 'extensions'), path.join(dir, 'extensions'), { recursive: true });
    const key = 'c'.repeat(64);
    const port = await freePort();
    const env = cleanEnv(dir, {
      PATH: `${programFolder(reference)}:${process.env['PATH'] ?? ''}`,
      BPBROKER_LISTEN_PORT: String(port),
      BPBROKER: `127.0.0.1:${port}`,
      OSSEC_KEY: key,
    });
    const terminalOn = (host: string): Terminal => {
      const ossec = path.join(dir, host);
      for (const folder of ['bin', 'etc']) mkdirSync(path.join(ossec, folder), { recursive: true });
      writeFileSync(
        path.join(ossec, 'bin', 'ossec-control'),
        `#!/bin/sh\necho "$1" >> '${ossec}/restarts'\n`,
        {
          mode: 0o755,
        },
      );
      const asTyped = (text: string): string =>
        text
          .replaceAll('/var/ossec', ossec)
          .replace('"…"', `"${key}"`)
          .replace(/^bpbroker start$/m, 'bpbroker start --detach 2> started');
      // The broker is found by the variable, and the variable has no meaning to what installs it.
      return createTerminal({ dir, env, known: new Map(), asTyped });
    };
    await terminalOn('server').script(block('bpbroker install-extension --script extensions/ossec.ts'));
    const [, pid] = /process (\d+)/.exec(readFileSync(path.join(dir, 'started'), 'utf8')) ?? [];
    atEnd(() => killIfThere(Number(pid)));
    await terminalOn('agent').script(block('bpbroker --access-key "$OSSEC_KEY" execute'));
    const lineOf = (host: string): string => readFileSync(path.join(dir, host, 'etc', 'client.keys'), 'utf8');
    assert.match(lineOf('agent'), /^001 \S+ 127\.0\.0\.1 [0-9a-f]{64}\n$/);
    assert.equal(lineOf('server'), lineOf('agent'));
    assert.equal(readFileSync(path.join(dir, 'server', 'restarts'), 'utf8'), 'restart\n');
    killIfThere(Number(pid));
  });
});
