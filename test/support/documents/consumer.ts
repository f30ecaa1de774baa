import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../build/root.ts';
import { tempDir } from '../temp.ts';

/** A user's project that has installed the package, and what an application of its own may need besides. */
export function consumer(files: Readonly<Record<string, string>> = {}): string {
  const dir = tempDir();
  const modules = path.join(dir, 'node_modules');
  for (const scope of ['@hono', '@types']) mkdirSync(path.join(modules, scope), { recursive: true });
  symlinkSync(path.join(root, 'dist', 'npm'), path.join(modules, 'bpbroker'));
  for (const name of ['hono', '@hono/node-server', 'valibot', 'zod', '@types/node', 'undici-types'])
    symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name));
  const manifest = { name: 'consumer', private: true, type: 'module' };
  writeFileSync(path.join(dir, 'package.json'), JSON.stringify(manifest));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), text);
  }
  return dir;
}

/** A `tsconfig.json` as a strict project has it. */
export function strictProject(include: readonly string[], types: readonly string[] = []): string {
  return JSON.stringify({
    compilerOptions: {
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2024', 'dom', 'dom.iterable'],
      types,
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      verbatimModuleSyntax: true,
    },
    include,
  });
}
