import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exitCodes } from '../../src/cli/help/exit-codes.ts';
import { defaultOf, needOf } from '../../src/cli/help/page.ts';
import { renderHelp } from '../../src/cli/help/render.ts';
import { connectionOptions, outputOptions } from '../../src/cli/options/common.ts';
import { optionDefinitions, type OptionName } from '../../src/cli/options/options.ts';
import { commandSynonyms, optionSynonyms } from '../../src/cli/options/suggest.ts';
import { BrokerError, errorCodes } from '../../src/protocol/errors.ts';
import { allCommands, type VisibleCommand } from '../support/programs/all-commands.ts';

const commands = allCommands();
const leaves = commands.filter(({ command }) => command.load);
const title = ({ program, path }: VisibleCommand): string => [program, ...path].join(' ');

describe('the tables of commands and options', () => {
  it('state a default of every option that has a value and may be left out', () => {
    for (const visited of leaves) {
      for (const name of visited.command.options ?? []) {
        if (optionDefinitions[name].type === 'boolean' || needOf(name, visited.command)) continue;
        assert.ok(defaultOf(name, visited.command), `${title(visited)} --${name} has no default`);
      }
    }
  });

  it('state what holds without --timeout for each command by itself', () => {
    const takes = leaves.filter(({ command }) => command.options?.includes('timeout'));
    assert.ok(takes.length >= 20, `${takes.length} commands`);
    for (const visited of takes) assert.ok(visited.command.defaults?.timeout, title(visited));
  });

  it('put every option of a connection or an output into that group', () => {
    const notes: ReadonlySet<OptionName> = new Set(['quiet', 'verbose']);
    for (const name of connectionOptions) {
      // Each command says by itself what a time limit means to it.
      if (name === 'timeout') continue;
      assert.equal(optionDefinitions[name].group, notes.has(name) ? 'output' : 'connection', name);
    }
    for (const name of outputOptions) assert.equal(optionDefinitions[name].group, 'output', name);
  });

  it('say what each command prints, and show one to four examples of it', () => {
    for (const visited of leaves) {
      const { prints = '', examples = [] } = visited.command;
      assert.match(prints, /^[A-Z].*\.$/, title(visited));
      assert.ok(examples.length >= 1 && examples.length <= 4, title(visited));
    }
  });

  it('name no option in a command that it does not take', () => {
    for (const visited of leaves) {
      const { options = [], meanings = {}, defaults = {}, required = [], oneOf = [] } = visited.command;
      const { positionals = [] } = visited.command;
      const named = [
        ...Object.keys(meanings),
        ...Object.keys(defaults),
        ...required,
        ...oneOf.flat(),
        ...positionals,
      ];
      for (const name of named)
        assert.ok(options.includes(name as OptionName), `${title(visited)} --${name}`);
    }
  });

  it('know an option for a word without one, wherever a command has options of its own', () => {
    for (const visited of leaves) {
      const { positionals, required, oneOf } = visited.command;
      assert.ok(positionals ?? required ?? oneOf, title(visited));
    }
  });

  it('write every description in one way: a capital, no full stop, no default and no variable', () => {
    const all = [
      ...Object.values(optionDefinitions).map(({ description }) => description),
      ...commands.map(({ command }) => command.description),
      ...commands.flatMap(({ command }) => Object.values(command.meanings ?? {})),
    ];
    for (const text of all) {
      assert.match(text, /^[A-Z]/, text);
      assert.doesNotMatch(text, /\.$|default|BPBROKER_|repeatable|\b(?:stands|stood)\b/, text);
    }
    for (const { command } of commands) {
      if (command.details !== undefined) assert.match(command.details, /^[A-Z-].*\.$/, command.details);
      for (const text of Object.values(command.exits ?? {})) assert.match(text, /^[a-z].*[^.]$/, text);
    }
  });

  it('have a meaning for every exit code that an error has', () => {
    const used = errorCodes.map((code) => new BrokerError(code, '').exitCode);
    assert.deepEqual(
      Object.keys(exitCodes).map(Number),
      [...new Set([0, ...used])].toSorted((a, b) => a - b),
    );
  });

  it('suggest nothing that does not exist', () => {
    for (const name of Object.keys(optionSynonyms)) assert.ok(Object.hasOwn(optionDefinitions, name), name);
    for (const words of Object.keys(commandSynonyms))
      assert.ok(
        commands.some(({ path }) => path.join(' ') === words),
        words,
      );
  });
});

describe('renderHelp()', () => {
  for (const width of [40, 60, 80, 100]) {
    it(`keeps within ${width} columns for every command, and loses no word`, async () => {
      const words = (text: string): string => text.replaceAll(/ \\\n *|\s+/g, ' ').trim();
      for (const { program, path, command } of commands) {
        const text = await renderHelp(program, path, command, { width, colour: false });
        for (const line of text.split('\n')) assert.ok(line.length <= width, `${path.join(' ')}: ${line}`);
        const wide = await renderHelp(program, path, command, { width: 10_000, colour: false });
        assert.equal(words(text), words(wide));
        assert.doesNotMatch(text, /[ \t]\n|\n\n\n|\u00a0/, path.join(' '));
      }
    });
  }

  it('colours nothing but titles and terms, which changes no character of the text', async () => {
    for (const { program, path, command } of commands) {
      const plain = await renderHelp(program, path, command, { width: 60, colour: false });
      const colour = await renderHelp(program, path, command, { width: 60, colour: true });
      assert.ok(!plain.includes('\u001b'));
      assert.ok(colour.includes('\u001b[1mUSAGE\u001b[22m'));
      // oxlint-disable-next-line no-control-regex
      assert.equal(colour.replaceAll(/\u001b\[\d+m/g, ''), plain);
    }
  });
});
