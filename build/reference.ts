import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { referencePages } from './reference/pages.ts';
import { root } from './root.ts';

/**
 * Writes the reference from the definitions in src: `docs/cli.md`, and the tables between marks in other
 * pages: `npm run build:reference`. With `--check` it writes nothing, and fails when a page does not match the
 * definitions. Another folder of pages may be named.
 */
async function main(args: readonly string[]): Promise<number> {
  const docs = path.resolve(root, args.find((arg) => arg !== '--check') ?? 'docs');
  const pages = await referencePages(docs);
  const others = pages.filter(({ name, text }) => readFileSync(path.join(docs, name), 'utf8') !== text);
  if (!args.includes('--check')) {
    for (const { name, text } of others) writeFileSync(path.join(docs, name), text);
    return 0;
  }
  for (const { name } of others)
    process.stderr.write(`${name} is not what the definitions in src say: npm run build:reference\n`);
  return others.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
