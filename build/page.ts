import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { capture } from './process.ts';
import { root, tool } from './root.ts';

/**
 * Bundles the status page's script (`src/page/`) and its style into `src/api/page/assets.ts`, as texts: the
 * app that serves them needs no files. `node build/page.ts` writes the file. With `--check` it fails when the
 * file does not match the sources.
 */
const target = path.join(root, 'src', 'api', 'page', 'assets.ts');

/** The text of `assets.ts` from the present sources. */
export async function assetsText(): Promise<string> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-page-'));
  try {
    const out = path.join(dir, 'page.js');
    const entry = path.join(root, 'src', 'page', 'main.ts');
    await capture([
      tool('bun'),
      'build',
      entry,
      '--target=browser',
      '--format=esm',
      '--minify-whitespace',
      `--outfile=${out}`,
    ]);
    const style = readFileSync(path.join(root, 'src', 'page', 'style.css'), 'utf8');
    const text = [
      '// Made by build/page.ts from src/page: change those, and run `npm run build:page`.',
      `export const STYLE: string = ${literal(style.replaceAll(/\s*\n\s*/g, '\n'))};`,
      `export const SCRIPT: string = ${literal(readFileSync(out, 'utf8'))};`,
      '',
    ].join('\n');
    const made = path.join(dir, 'assets.ts');
    writeFileSync(made, text);
    await capture([
      tool('node'),
      path.join(root, 'node_modules/oxfmt/bin/oxfmt'),
      '-c',
      path.join(root, 'build', 'oxfmt.json'),
      made,
    ]);
    return readFileSync(made, 'utf8');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * A string literal.
 * @throws Error when the text would end its element.
 */
function literal(text: string): string {
  if (/<\/(script|style)/i.test(text)) throw new Error('The page would end its own script or style');
  return JSON.stringify(text);
}

if (import.meta.main) {
  const text = await assetsText();
  if (!process.argv.includes('--check')) writeFileSync(target, text);
  else if (readFileSync(target, 'utf8') !== text) {
    process.stderr.write(`${target} is not what src/page makes: run 'npm run build:page'\n`);
    process.exitCode = 1;
  }
}
