import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root, tool } from '../../build/root.ts';
import { reference, skipOf } from '../programs/support.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { startBroker } from '../support/programs/programs.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal } from '../support/programs/terminal.ts';
import { typePage } from '../support/documents/typed-page.ts';
import { lacking } from '../support/programs/tools.ts';

/** The command blocks of pages of reference that no test of a page's own types, beside a broker. */
const pages = [
  'docs/api.md',
  'docs/audit.md',
  'docs/discovery.md',
  'docs/lock.md',
  'docs/monitoring.md',
  'docs/scripts.md',
  'docs/troubleshooting.md',
];

/** Keys that the pages name by their files. */
const keyFiles = ['access.key', 'old.key'];

/** `npx openapi-typescript-codegen ARGS…`, with the package that this project has. */
const generator = path.join(root, 'node_modules', 'openapi-typescript-codegen', 'bin', 'index.js');
const script = `test "$1" = openapi-typescript-codegen && shift && exec '${tool('node')}' '${generator}' "$@"`;
const npx = ['sh', '-c', script, 'npx'];

/** Programs of a user's that the pages call; each says with which words. */
const scripts = ['agent', 'deploy.sh', 'migrate.sh'];

for (const page of pages) {
  describe(page, { skip: skipOf(reference) || lacking('curl', 'hostname') }, () => {
    it('has command blocks that work as they are typed', async () => {
      const dir = tempDir();
      for (const name of scripts) {
        writeFileSync(path.join(dir, name), '#!/bin/sh\necho "$0 $*"\n');
        chmodSync(path.join(dir, name), 0o755);
      }
      for (const name of keyFiles) writeFileSync(path.join(dir, name), `${'k'.repeat(30)}0123456789abc\n`);
      const broker = await startBroker(reference, { config: { services: {}, ping: {} } });
      const env = cleanEnv(dir, {
        PATH: `${programFolder(reference, { npx })}:${process.env['PATH'] ?? ''}`,
        BPBROKER: `127.0.0.1:${broker.port}`,
        ADDRESS: '10.0.0.7',
        KEY: '',
      });
      const asTyped = (text: string): string =>
        text
          .replaceAll('127.0.0.1:20443', `127.0.0.1:${broker.port}`)
          .replaceAll('--bpbroker 10.0.0.1 ', `--bpbroker 127.0.0.1:${broker.port} `);
      const terminal = createTerminal({ dir, env, known: new Map(), asTyped });
      await broker.client(['service', 'register', '--name', 'db', '--data', '{"host": "10.0.0.5"}']);
      await broker.client(['service', 'register', '--name', 'foo', '--data', 'bar']);
      await typePage(blocksOf(page), () => ({ dir, terminal }));
      await broker.kill();
    });
  });
}
