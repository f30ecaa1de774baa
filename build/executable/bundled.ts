import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../root.ts';

/** An npm package that the programs contain. */
export interface Bundled {
  readonly name: string;
  readonly version: string;
  /** SPDX identifier, as in the package. */
  readonly license: string;
  /** Where it is installed, such as `node_modules/hono`. */
  readonly at: string;
}

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The direct and indirect dependencies, from the lock file, by name. */
export function bundledPackages(project: string = root): Bundled[] {
  const { packages } = JSON.parse(readFileSync(path.join(project, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, Locked>>;
  };
  const found = new Map<string, Bundled>();
  const visit = (from: string): void => {
    for (const name of Object.keys(packages[from]?.dependencies ?? {})) {
      const at = locate(name, from, packages);
      const { version, license } = packages[at] ?? {};
      if (found.has(at)) continue;
      found.set(at, { name, version: version ?? '', license: license ?? '', at });
      visit(at);
    }
  };
  visit('');
  return [...found.values()].toSorted((a, b) => compare(`${a.name} ${a.at}`, `${b.name} ${b.at}`));
}

/** Where `from` finds a package: in its own `node_modules`, or in the nearest one above. */
function locate(name: string, from: string, packages: Readonly<Record<string, Locked>>): string {
  const at = `${from === '' ? '' : `${from}/`}node_modules/${name}`;
  if (packages[at]) return at;
  if (from === '') throw new Error(`package-lock.json has no ${name}`);
  return locate(name, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), packages);
}

/**
 * The licences of everything inside an executable: the packages, and the runtime with its libraries.
 * @throws Error that names a package without a licence text: it must not be distributed like that.
 */
export function licenceTexts(project: string = root): string {
  const runtime = ['bun', 'LGPL-2', 'LGPL-2.1', 'Apache-2.0'].map((name) =>
    readFileSync(path.join(root, 'build', 'licences', `${name}.txt`), 'utf8'),
  );
  const packages = bundledPackages(project).map(
    (one) => `${one.name} ${one.version} (${one.license})\n\n${licenceOf(one, project)}`,
  );
  const all = [
    'What the programs of this release contain besides bpbroker itself.\n',
    ...packages,
    ...runtime,
  ];
  return all.map((text) => `${text.trim()}\n`).join(`\n${'='.repeat(80)}\n\n`);
}

function licenceOf({ name, at }: Bundled, project: string): string {
  const dir = path.join(project, at);
  const files = existsSync(dir) ? readdirSync(dir).toSorted() : [];
  const texts = files.filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
  if (texts.length === 0) throw new Error(`${name} has no licence text in ${at}; is it installed?`);
  return texts.map((file) => readFileSync(path.join(dir, file), 'utf8').replaceAll('\r\n', '\n')).join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
