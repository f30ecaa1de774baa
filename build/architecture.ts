import { isBuiltin } from 'node:module';
import path from 'node:path';
import type { Import, ParsedFile } from './executable/imports.ts';
import {
  fullFolders,
  layers,
  longFiles,
  maxFiles,
  maxLines,
  portable,
  portableModules,
  runtimeFiles,
  runtimeFolder,
  unloaded,
} from './layers.ts';

export type ParsedFiles = Readonly<Record<string, ParsedFile>>;

interface Edge {
  /** A file of the project (`src/…`), or a package or built-in module as written. */
  readonly to: string;
  readonly kind: Import['kind'];
  readonly local: boolean;
}

/** Every breach of the architecture in the files under `src/`, one line each. */
export function findBreaches(files: ParsedFiles): string[] {
  const sources = Object.keys(files).filter((file) => file.startsWith('src/'));
  return [
    ...sources.flatMap((file) => layerBreaches(file, edgesOf(file, files))),
    ...sources.flatMap((file) => portabilityBreaches(file, files)),
    ...sources.flatMap((file) => runtimeBreaches(file, files)),
    ...unloaded.flatMap(({ from, never }) => loadBreaches(from, never, files)),
    ...findCycles(files),
    ...Object.entries(files).flatMap(([file, { lines }]) => lengthBreaches(file, lines)),
    ...folderBreaches(sources),
  ];
}

function edgesOf(file: string, files: ParsedFiles): Edge[] {
  return (files[file]?.imports ?? []).flatMap(({ specifier, kind }) => {
    if (specifier === '#runtime') return runtimeFiles.map((to) => ({ to, kind, local: true }));
    const local = specifier.startsWith('.');
    return [{ to: local ? path.posix.join(path.posix.dirname(file), specifier) : specifier, kind, local }];
  });
}

/** `protocol` for `src/protocol/registry/names.ts`, `index.ts` for `src/index.ts`. */
function layerOf(file: string): string {
  return file.split('/')[1] ?? '';
}

function layerBreaches(file: string, edges: readonly Edge[]): string[] {
  const own = layerOf(file);
  const allowed = layers[own];
  if (!allowed) return [`${file} is in no layer: build/layers.ts names ${Object.keys(layers).join(', ')}`];
  const inside = [own, ...allowed].map((part) => `src/${part}`);
  return edges
    .filter(({ local, to }) => local && !inside.some((part) => to === part || to.startsWith(`${part}/`)))
    .map(({ to }) => `${file} imports ${to}; ${own} may import ${allowed.join(', ') || 'no other folder'}`);
}

/** All that a portable file imports, directly or indirectly, also by `import()`. */
function portabilityBreaches(from: string, files: ParsedFiles): string[] {
  if (!portable.some((part) => from === part || (part.endsWith('/') && from.startsWith(part)))) return [];
  const breaches: string[] = [];
  const seen = new Set([from]);
  const follow = (file: string, way: readonly string[]): void => {
    for (const { to, kind, local } of edgesOf(file, files)) {
      if (kind === 'type' || seen.has(to)) continue;
      seen.add(to);
      const isBuiltIn = !local && isBuiltin(to) && !portableModules.includes(to);
      const trail = way.length > 0 ? ` (by ${[...way.slice(1), file].join(' > ')})` : '';
      if (isBuiltIn || to.startsWith(runtimeFolder))
        breaches.push(`${from} loads ${to}${trail}; it runs anywhere`);
      else if (local) follow(to, [...way, file]);
    }
  };
  follow(from, []);
  return breaches;
}

function runtimeBreaches(file: string, files: ParsedFiles): string[] {
  if (file.startsWith(runtimeFolder)) return [];
  const named = files[file]?.runtimes ?? [];
  const imported = (files[file]?.imports ?? [])
    .map(({ specifier }) => specifier)
    .filter((specifier) => /^(bun|deno|jsr|npm)(:|$)/.test(specifier));
  return [...named, ...imported].map((name) => `${file} names ${name}; only ${runtimeFolder} knows runtimes`);
}

function loadBreaches(from: string, never: readonly string[], files: ParsedFiles): string[] {
  const forbidden = (to: string): boolean =>
    never.some((part) => to === part || to.startsWith(part.endsWith('/') ? part : `${part}/`));
  const breaches: string[] = [];
  const seen = new Set([from]);
  const follow = (file: string, way: readonly string[]): void => {
    for (const { to, kind } of edgesOf(file, files)) {
      const otherRuntime = runtimeFiles.indexOf(to) > 0;
      if (kind !== 'static' || otherRuntime || seen.has(to)) continue;
      seen.add(to);
      if (forbidden(to)) breaches.push(`${from} loads ${to} (by ${[...way, file].join(' > ')})`);
      else follow(to, [...way, file]);
    }
  };
  follow(from, []);
  return breaches;
}

/** Cycles of imports. Imports of types count too: files that need each other are one idea, or three. */
function findCycles(files: ParsedFiles): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    const start = way.indexOf(file);
    if (start !== -1) cycles.push(`imports run in a circle: ${[...way.slice(start), file].join(' > ')}`);
    if (start !== -1 || done.has(file)) return;
    for (const { to, kind } of edgesOf(file, files)) {
      if (kind !== 'dynamic' && files[to]) visit(to, [...way, file]);
    }
    done.add(file);
  };
  for (const file of Object.keys(files)) visit(file, []);
  return cycles;
}

function lengthBreaches(file: string, lines: number): string[] {
  if (lines <= maxLines || longFiles[file]) return [];
  return [`${file} has ${lines} lines; ${maxLines} is the most, or a reason in build/layers.ts`];
}

/** Folders whose files do not show an order any more. */
function folderBreaches(files: readonly string[]): string[] {
  const folders = new Map<string, number>();
  for (const file of files) {
    const folder = path.posix.dirname(file);
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  return [...folders]
    .filter(([folder, count]) => count > maxFiles && !fullFolders[folder])
    .map(
      ([folder, count]) =>
        `${folder} has ${count} files; ${maxFiles} is the most: order them in subfolders, or give a reason in build/layers.ts`,
    );
}
