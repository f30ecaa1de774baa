import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { referencePage } from './reference-page.ts';
import { root } from './root.ts';

/**
 * Writes `docs/cli.md`, the reference of all commands and options, from the tables of the command line: `npm
 * run build:reference`. With `--check` it writes nothing, and fails when the page does not match the tables.
 * Another file may be named.
 */
async function main(args: readonly string[]): Promise<number> {
  const given = args.find((arg) => arg !== '--check') ?? path.join('docs', 'cli.md');
  const file = path.resolve(root, given);
  const page = await referencePage();
  if (!args.includes('--check')) {
    writeFileSync(file, page);
    return 0;
  }
  if (readFileSync(file, 'utf8') === page) return 0;
  process.stderr.write(`${given} is not what the tables in src/cli say: npm run build:reference\n`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2));
