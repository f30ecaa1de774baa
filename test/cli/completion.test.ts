import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokerCommands } from '../../src/cli/programs/broker-commands.ts';
import { clientCommands } from '../../src/cli/programs/client-commands.ts';
import type { Command } from '../../src/cli/command.ts';
import { complete, type Completion } from '../../src/cli/completion/candidates.ts';
import { optionDefinitions } from '../../src/cli/options/options.ts';

const root: Command = {
  description: '',
  options: ['version'],
  subCommands: { ...brokerCommands, ...clientCommands },
};

/** The words that may follow a line; its last word, after the last space, is the one that is typed. */
function words(line: string): string[] {
  const completion = complete(root, line.split(' ')).completion;
  assert.equal(completion.kind, 'words', line);
  return completion.kind === 'words' ? completion.candidates.map(({ value }) => value) : [];
}

const kind = (line: string): Completion['kind'] => complete(root, line.split(' ')).completion.kind;

describe('complete()', () => {
  it('offers the commands and options of every command as in its definition, and no hidden one', () => {
    const visit = (command: Command, path: readonly string[]): void => {
      const below = Object.entries(command.subCommands ?? {});
      const visible = below.filter(([, { hidden }]) => !hidden);
      if (below.length > 0)
        assert.deepEqual(
          words([...path, ''].join(' ')),
          visible.map(([name]) => name),
        );
      const options = words([...path, '--'].join(' '));
      for (const name of [...(command.options ?? []), 'help']) assert.ok(options.includes(`--${name}`), name);
      for (const [name, sub] of visible) visit(sub, [...path, name]);
    };
    visit(root, []);
    assert.ok(!words('').includes('extension-host'));
  });

  it('offers words that begin with the typed text', () => {
    assert.deepEqual(words('service re'), ['register', 'replace', 'renew']);
    assert.deepEqual(words('service get --access'), ['--access-key', '--access-key-file']);
    assert.deepEqual(words('service get -'), words('service get --'));
    assert.deepEqual(words('service get -b'), ['-b']);
    assert.deepEqual(words('nonsense'), []);
  });

  it('knows options before the command, and values that look like options or commands', () => {
    assert.ok(words('--bp').includes('--bpbroker'));
    assert.deepEqual(words('--bpbroker service service re'), ['register', 'replace', 'renew']);
    assert.deepEqual(words('service -b --data get --wa'), ['--wait']);
    assert.deepEqual(words('service --name=ping get --wa'), ['--wait']);
    assert.deepEqual(words('-bhost service re'), ['register', 'replace', 'renew']);
  });

  it('leaves the words after the -- of lock to the shell, and offers its own options before', () => {
    assert.deepEqual(words('lock --na'), ['--name']);
    assert.equal(kind('lock --name '), 'entries');
    assert.equal(kind('lock --name x -- '), 'files');
    assert.equal(kind('lock --name x -- cat --na'), 'files');
    // A value that looks like it is a value.
    assert.ok(words('lock --name -- --').includes('--wait'));
    assert.deepEqual(words('service get -- --na'), ['--name'], 'other commands have nothing of the kind');
  });

  it('offers required options first, and none twice that may be given once', () => {
    assert.equal(words('service get ')[0], '--name');
    assert.ok(!words('service get --name x --').includes('--name'));
    assert.ok(words('discover --target x --').includes('--target'));
  });

  it('knows which command takes --count with a value', () => {
    assert.deepEqual(words('service watch --count '), []);
    assert.ok(words('service watch --count 3 --').includes('--initial'));
    assert.ok(words('service list --count --').includes('--prefix'));
  });

  it('offers the choices of an option, after a space or an equals sign', () => {
    assert.deepEqual(words('service get --format '), ['text', 'json', 'csv', 'csv-noheader', 'env']);
    assert.deepEqual(words('service get --format=cs'), ['csv', 'csv-noheader']);
    assert.deepEqual(words('service get -f j'), ['json']);
    assert.deepEqual(words('start --log-level w'), ['warn']);
  });

  it('leaves files to the shell, and names of entries to a broker', () => {
    for (const [name, { valueHint }] of Object.entries(optionDefinitions)) {
      if (valueHint === 'FILE') assert.equal(kind(`start --${name} x`), 'files', name);
    }
    assert.equal(kind('install-extension --script '), 'files');
    assert.deepEqual(complete(root, ['service', 'get', '--name', 'a']).completion, {
      kind: 'entries',
      prefix: 'a',
    });
    assert.deepEqual(complete(root, ['service', 'list', '--prefix=']).completion, {
      kind: 'entries',
      prefix: '',
    });
    assert.deepEqual(words('ping --data '), []);
  });

  it('tells which values have been typed', () => {
    const { given } = complete(root, ['-b', 'h:1', '--access-key=k', 'service', 'get', '--name', '']);
    assert.deepEqual(Object.fromEntries(given), { bpbroker: 'h:1', 'access-key': 'k' });
  });
});
