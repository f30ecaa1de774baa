import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { givenVariables, systemVariables, userVariables } from '../../../build/reference/variables.ts';
import { root } from '../../../build/root.ts';
import { listFiles } from '../../../build/stamp.ts';

/** Set when a program is built, and no variables of an environment. */
const ofTheBuild = new Set(['BPBROKER_COMMIT', 'BPBROKER_TARGET']);
/** Names that look like variables where an environment is at hand: errors of systems, and what `doctor --format env` prints. */
const others = /^(?:E[A-Z]+|ERR_.*|HPE_.*|DNS_.*|EAI_.*|UND_.*|BPB_.*|SIG[A-Z]+)$/;

/**
 * Returns the names of variables in a source: each `BPBROKER…`, and the members of an `env`. A constant or a member may hold a
 * name too: where a source has an `env`, each text and key in capital letters counts.
 */
function variablesIn(source: string): string[] {
  const all = (pattern: RegExp): string[] => [...source.matchAll(pattern)].flatMap(([, name = '']) => name);
  const taken = all(/\{([^{}]*)\}(?::[^=\n]*)? = (?:\w+\.)*env\b(?!\.)/g).flatMap((members) =>
    members.split(',').map((member) => member.split(/[:=]/)[0]?.trim() ?? ''),
  );
  const isAtHand = /\benv\b/.test(source);
  const named = isAtHand
    ? [
        ...all(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z]+_proxy)'/g),
        ...all(/(?<!const )\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z][A-Z0-9]{3,}): /g),
      ]
    : [];
  return [
    ...all(/\b(BPBROKER(?:_[A-Z]+)*)\b/g),
    ...all(/\b[eE]nv\['([^']+)'\]/g),
    ...all(/\benv\.([A-Z][A-Z0-9_]+)\b/g),
    ...taken,
    ...named,
  ].filter((name) => name !== '' && !others.test(name) && !ofTheBuild.has(name));
}

const sources = listFiles(path.join(root, 'src'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: path.relative(root, file), text: readFileSync(file, 'utf8') }));
const listed = new Set([
  ...Object.keys(userVariables()),
  ...Object.keys(systemVariables),
  ...Object.keys(givenVariables),
]);

describe('the list of variables of the environment', () => {
  it('has every one that the sources name', () => {
    const missing = sources.flatMap(({ file, text }) =>
      variablesIn(text)
        .filter((name) => !listed.has(name))
        .map((name) => `${file}: ${name}`),
    );
    assert.deepEqual(missing, [], 'they belong into build/reference/variables.ts');
  });

  it('has none that the sources do not name', () => {
    const used = new Set(sources.flatMap(({ text }) => variablesIn(text)));
    assert.deepEqual(
      [...listed].filter((name) => !used.has(name)),
      [],
    );
  });

  it('has the variables of a program as extension that docs/extensions.md has', () => {
    const page = readFileSync(path.join(root, 'docs', 'extensions.md'), 'utf8');
    const said = [...page.matchAll(/^\| `(BPBROKER\w*)` +\|/gm)].map(([, name = '']) => name);
    const ofPrograms = Object.entries(givenVariables).filter(([, [to]]) => to.endsWith('as extension'));
    assert.ok(said.length > 4);
    assert.deepEqual(said.toSorted(), ofPrograms.map(([name]) => name).toSorted());
  });

  it('is compared with each way in which a source names a variable', () => {
    const ways = `
      const a = process.env['ONE'];
      const b = env.TWO;
      const { THREE, FOUR_X: four = '' }: Environment = process.env;
      const names = ['FIVE_X', 'six_proxy'];
      const c = { ...env, SEVEN_X: '1', PATH: '' };
      const d = 'BPBROKER_EIGHT';`;
    assert.deepEqual(
      new Set(variablesIn(ways)),
      new Set(['ONE', 'TWO', 'THREE', 'FOUR_X', 'FIVE_X', 'six_proxy', 'SEVEN_X', 'PATH', 'BPBROKER_EIGHT']),
    );
  });
});
