import { type Node, SyntaxKind } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isElementAccessExpression,
  isExportDeclaration,
  isIdentifier,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isNoSubstitutionTemplateLiteral,
  isPropertyAccessExpression,
  isStringLiteral,
} from 'typescript/unstable/ast/is';
import { createVirtualFileSystem } from 'typescript/unstable/fs';
import { API } from 'typescript/unstable/sync';

export interface Import {
  /** As written: `./names.ts`, `node:fs`, `hono`. */
  readonly specifier: string;
  /** `static` is loaded with the file, `dynamic` when its `import()` runs, `type` never. */
  readonly kind: 'static' | 'dynamic' | 'type';
}

export interface ParsedFile {
  readonly imports: readonly Import[];
  /** How it names a runtime: `Bun`, `Deno`, `versions.bun`, `versions.deno`. */
  readonly runtimes: readonly string[];
  readonly lines: number;
}

/** Sources by path, such as `src/protocol/registry/names.ts`. */
export type Sources = Readonly<Record<string, string>>;

/** Parses sources with TypeScript's own parser; nothing is resolved or checked. */
export function parse(sources: Sources): Record<string, ParsedFile> {
  const names = Object.keys(sources);
  const files = Object.fromEntries(names.map((name) => [`/${name}`, sources[name] ?? '']));
  const options = { noResolve: true, noLib: true, types: [], noEmit: true, allowImportingTsExtensions: true };
  const config = JSON.stringify({ compilerOptions: options, files: names });
  const api = new API({ cwd: '/', fs: createVirtualFileSystem({ ...files, '/tsconfig.json': config }) });
  try {
    const [project] = api.updateSnapshot({ openProjects: ['/tsconfig.json'] }).getProjects();
    return Object.fromEntries(
      names.map((name) => {
        const file = project?.program.getSourceFile(`/${name}`);
        if (!file) throw new Error(`${name} could not be parsed`);
        return [name, describe(file, sources[name] ?? '')];
      }),
    );
  } finally {
    api.close();
  }
}

function describe(file: Node, text: string): ParsedFile {
  const imports: Import[] = [];
  const runtimes = new Set<string>();
  const visit = (node: Node): void => {
    const found = importOf(node);
    if (found) imports.push(found);
    const runtime = runtimeOf(node);
    if (runtime) runtimes.add(runtime);
    node.forEachChild(visit);
  };
  visit(file);
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  return { imports, runtimes: [...runtimes], lines };
}

function importOf(node: Node): Import | undefined {
  if (isImportDeclaration(node)) {
    const typeOnly = node.importClause?.phaseModifier === SyntaxKind.TypeKeyword;
    return literal(node.moduleSpecifier, typeOnly ? 'type' : 'static');
  }
  if (isExportDeclaration(node)) return literal(node.moduleSpecifier, node.isTypeOnly ? 'type' : 'static');
  if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
    return literal(node.arguments[0], 'dynamic');
  }
  if (isImportTypeNode(node) && isLiteralTypeNode(node.argument))
    return literal(node.argument.literal, 'type');
  return undefined;
}

function literal(node: Node | undefined, kind: Import['kind']): Import | undefined {
  const specifier = node && textOf(node);
  return specifier === undefined ? undefined : { specifier, kind };
}

function textOf(node: Node): string | undefined {
  return isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node) ? node.text : undefined;
}

function runtimeOf(node: Node): string | undefined {
  if (isPropertyAccessExpression(node)) return versionOf(node.expression, node.name.text);
  if (isElementAccessExpression(node)) {
    const key = textOf(node.argumentExpression);
    if (key === undefined) return undefined;
    return isRuntime(key) ? key : versionOf(node.expression, key);
  }
  return isIdentifier(node) && isRuntime(node.text) ? node.text : undefined;
}

function versionOf(owner: Node, key: string): string | undefined {
  const isVersions = isPropertyAccessExpression(owner) && owner.name.text === 'versions';
  return isVersions && ['bun', 'deno'].includes(key) ? `versions.${key}` : undefined;
}

function isRuntime(name: string): boolean {
  return name === 'Bun' || name === 'Deno';
}
