import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { tool } from '../../build/root.ts';
import { freePort, start } from '../programs/support.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { type Block, blocksOf, exchangesOf, matches } from '../support/documents/documents.ts';
import { run } from '../support/programs/run.ts';
import { waitFor } from '../support/wait.ts';
import { projectOf } from './server-process.ts';
import { workerd } from './workerd.ts';

/** The examples whose README is a session: what starts its server, and the programs that it types. */
const examples = {
  'examples/express': { server: 'node server.mjs', missing: false, programs: { node: tool('node') } },
  'examples/worker': {
    server: 'workerd serve config.capnp',
    missing: workerd.missing,
    programs: { bun: tool('bun'), workerd: workerd.file },
  },
};

for (const [folder, { server, missing, programs }] of Object.entries(examples)) {
  const skip = process.platform === 'win32' ? 'its session is for bash' : missing;
  describe(`${folder}/README.md`, { skip }, () => {
    let type: (block: Block) => Promise<void>;
    before(async () => {
      type = await terminal(projectOf(folder, ['express']), server, programs);
    });
    for (const block of blocksOf(`${folder}/README.md`).filter(({ language }) => language === 'console'))
      it(`line ${block.line}: ${exchangesOf(block.text)[0]?.command}`, () => type(block));
  });
}

/** A terminal in `dir`, where the page's port 8080 is one that is free, and the server runs beside what is typed after it. */
async function terminal(
  dir: string,
  server: string,
  programs: Readonly<Record<string, string>>,
): Promise<(block: Block) => Promise<void>> {
  const port = await freePort();
  const own = (text: string): string => text.replaceAll('8080', String(port));
  for (const file of ['config.capnp', 'server.mjs']) rewrite(path.join(dir, file), own);
  const bin = path.join(dir, 'bin');
  mkdirSync(bin);
  for (const [name, file] of Object.entries(programs)) symlinkSync(file, path.join(bin, name));
  const variables = path.join(dir, '.variables');
  writeFileSync(variables, '');
  const env = cleanEnv(dir, { PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}` });
  return async ({ text }) => {
    for (const { command, shown } of exchangesOf(own(text))) {
      if (command.endsWith(server)) {
        const running = start(['bash', '-c', `exec env ${command}`], { cwd: dir, env });
        await waitFor(`${server} to listen`, () => listens(port), 30_000);
        const printed = (): string => running.stdout() + running.stderr();
        // It may listen before what it prints has been read here.
        await waitFor('what it prints', () => printed() !== '' || shown === '', 30_000);
        assert.equal(printed(), shown);
        continue;
      }
      const script = `exec 2>&1\n. '${variables}'\n${command}\n[ -z "$url" ] || echo "url=$url" >'${variables}'`;
      const { stdout } = await run(['bash', '-c', script], { cwd: dir, env });
      if (!matches(shown, stdout, new Map())) assert.equal(stdout, shown, `$ ${command}`);
    }
  };
}

function rewrite(file: string, change: (text: string) => string): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // It is a file of the other example.
    return;
  }
  writeFileSync(file, change(text));
}

async function listens(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const tell = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => tell(true)).once('error', () => tell(false));
  });
}
