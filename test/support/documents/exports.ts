import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The names that a declaration file exports, with those of every file that it exports whole, and types among them. */
export function exportsOf(file: string): string[] {
  const text = withoutComments(readFileSync(file, 'utf8'));
  const names: string[] = [];
  for (const [statement] of text.matchAll(/^export [^]*?(?:;|\{)$/gm))
    names.push(...namesOf(statement, file));
  return [...new Set(names)].toSorted();
}

/** @throws Error for a kind of export that it does not know, rather than to miss a name. */
function namesOf(statement: string, file: string): string[] {
  const whole = /^export \* from '(.+)';$/.exec(statement)?.[1];
  if (whole !== undefined) return exportsOf(declarationsOf(path.resolve(path.dirname(file), whole)));
  const list = /^export (?:type )?\{([^}]*)\}(?: from '.+')?;$/.exec(statement)?.[1];
  if (list !== undefined) return namesIn(list, 'exported');
  const declared = /^export (?:declare )?(?:function|const|interface|type|class) (\w+)/.exec(statement)?.[1];
  if (declared !== undefined) return [declared];
  throw new Error(`${file}: cannot tell what is exported by ${statement}`);
}

/** What a source imports by name from `specifier`. */
export function importsOf(source: string, specifier: string): string[] {
  const names: string[] = [];
  for (const [, list = '', from] of withoutComments(source).matchAll(
    /^import (?:type )?\{([^}]*)\} from '(.+)';$/gm,
  ))
    if (from === specifier) names.push(...namesIn(list, 'imported'));
  return names.toSorted();
}

/** The names of a list such as `a, type B, c as d`: a module's own are first where it is imported, last where it exports. */
function namesIn(list: string, side: 'imported' | 'exported'): string[] {
  const items = list.split(',').map((item) => item.trim().replace(/^type /, ''));
  return items
    .filter((item) => item !== '')
    .map((item) => item.split(' as ').at(side === 'imported' ? 0 : -1) ?? '');
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
}

/** `x.d.ts` of `x.ts` or `x.js`. */
function declarationsOf(file: string): string {
  const declarations = file.replace(/\.[jt]s$/, '.d.ts');
  if (!existsSync(declarations)) throw new Error(`${declarations} is not there`);
  return declarations;
}
