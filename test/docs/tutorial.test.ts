import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { reference, skipOf } from '../programs/support.ts';
import { type Abbreviations, blocksOf } from '../support/documents/documents.ts';
import { createMachine, machineProblem } from '../support/machine/machine.ts';
import { programFolder } from '../support/programs/program-folder.ts';
import { tempDir } from '../support/temp.ts';
import { createTerminal } from '../support/programs/terminal.ts';
import { type Place, typePage } from '../support/documents/typed-page.ts';

const page = 'docs/tutorial.md';
const blocks = blocksOf(page);
/** The commands that open the terminals of the three servers: they end in `bash`. */
const openers = new Map(
  blocks
    .filter(({ title }) => title.startsWith('opens '))
    .map(({ title, text }) => [title.replace('opens ', ''), text.trim()]),
);

describe(page, { skip: machineProblem() || skipOf(reference) }, () => {
  it('leads from nothing to three servers that find each other, as it is typed', async () => {
    const machine = await createMachine();
    const dir = tempDir();
    const known: Abbreviations = new Map();
    // Somebody's plain environment: what the page needs else, it sets.
    const env = {
      HOME: dir,
      NO_COLOR: '1',
      PATH: `${programFolder(reference)}:${process.env['PATH'] ?? ''}`,
    };
    const places = new Map<string, Place>();
    const placeOf = (name: string): Place => {
      const open = openers.get(name);
      assert.ok(name === '' || open?.endsWith(' bash'), `the page opens no terminal of '${name}'`);
      // The shell that the page opens is given what is typed into it.
      const inside = open ? ['bash', '-c', `exec ${open} "$@"`, 'bash'] : ['bash'];
      const place = places.get(name) ?? {
        terminal: createTerminal({ dir, env, known, opener: [...machine.opener(dir), ...inside] }),
        dir: `${dir}/${name}`,
      };
      places.set(name, place);
      return place;
    };
    const typed = blocks.filter(({ title }) => !title.startsWith('opens '));
    await typePage(typed, placeOf);
    assert.deepEqual([...places.keys()].toSorted(), ['', 'server1', 'server2', 'server3']);
  });
});
