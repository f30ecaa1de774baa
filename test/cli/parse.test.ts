import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokerCommands } from '../../src/cli/programs/broker-commands.ts';
import { clientCommands } from '../../src/cli/programs/client-commands.ts';
import type { Command } from '../../src/cli/command.ts';
import { clientRoot } from '../../src/cli/programs/client-root.ts';
import { parseCommandLine, type ParsedCommandLine } from '../../src/cli/options/parse.ts';

const root = {
  description: '',
  options: ['version' as const],
  subCommands: { ...brokerCommands, ...clientCommands },
};
const parse = (argv: readonly string[], env: Record<string, string> = {}): ParsedCommandLine =>
  parseCommandLine(argv, root, env);

describe('a command of the other program', () => {
  it('is said to be its, for each that only bpbroker has', () => {
    const own = Object.entries(brokerCommands).filter(([, { hidden }]) => !hidden);
    assert.ok(own.length > 5);
    for (const [name] of own) {
      assert.throws(() => parseCommandLine([name, '--config', 'x'], clientRoot, {}), {
        code: 'usage',
        message: `Unknown command '${name}', which only bpbroker has; there are ping, discover, service, lock, execute, doctor, trust`,
      });
    }
    for (const [name] of Object.entries(clientCommands))
      assert.equal(Object.hasOwn(root.subCommands, name), true, name);
  });

  it('is none of a group, and what no program has is unknown', () => {
    const refused = (argv: readonly string[], message: RegExp): void =>
      assert.throws(() => parseCommandLine(argv, clientRoot, {}), { code: 'usage', message });
    refused(['service', 'start'], /^Unknown service command 'start'; there are register/);
    refused(['strat'], /^Unknown command 'strat'; there are ping/);
  });
});

describe('a command line', () => {
  it('takes options before and after the command', () => {
    for (const argv of [
      ['--bpbroker', 'h:1', 'service', 'get', '--name', 'foo'],
      ['service', '--name', 'foo', 'get', '-b', 'h:1'],
      ['--name=foo', 'service', 'get', '--bpbroker=h:1'],
      ['-bh:1', 'service', 'get', '--name', 'foo'],
    ]) {
      const { path, args } = parse(argv);
      assert.deepEqual(path, ['service', 'get']);
      assert.equal(args.text('bpbroker'), 'h:1');
      assert.equal(args.text('name'), 'foo');
    }
  });

  it('takes --count with a number where its command does, before the command too', () => {
    for (const argv of [
      ['service', 'watch', '--prefix', 'a', '--count', '3'],
      ['--count', '3', 'service', 'watch', '--prefix', 'a'],
      ['service', '--count=3', 'watch', '--prefix', 'a'],
    ])
      assert.equal(parse(argv).args.text('count'), '3');
    for (const argv of [
      ['service', 'list', '--count'],
      ['--count', 'service', 'list'],
    ])
      assert.ok(parse(argv).args.flag('count'));
    const message = 'Option --count needs a value (K)';
    assert.throws(() => parse(['service', 'watch', '--count']), { code: 'usage', message });
    assert.throws(() => parse(['--count', 'service', 'watch']), { code: 'usage', message });
    const twice = ['service', 'watch', '--count', '1', '--count', '2'];
    assert.throws(() => parse(twice), { message: "Option --count is given twice: '1' and '2'" });
    for (const argv of [
      ['service', 'list', '--count=3'],
      ['--count', '3', 'service', 'list'],
    ])
      assert.throws(() => parse(argv), { message: "Option --count takes no value, got '3'" });
  });

  it('takes any value literally', () => {
    for (const value of [
      '-x',
      '--name',
      '--no-thing',
      '--',
      '@file',
      '-',
      '',
      ' ',
      '--data=1',
      '-h',
      'a=b',
    ]) {
      const { args } = parse(['service', 'register', '--name', 'foo', '--data', value]);
      assert.equal(args.text('data'), value);
      assert.equal(
        parse(['service', 'register', '--name', 'foo', `--data=${value}`]).args.text('data'),
        value,
      );
    }
  });

  it('refuses an unknown option and names the nearest known one', () => {
    assert.throws(() => parse(['ping', '--dta', 'x']), {
      code: 'usage',
      message: "Unknown option '--dta' (did you mean '--data'?)",
    });
    assert.throws(() => parse(['ping', '-x']), { code: 'usage', message: "Unknown option '-x'" });
    assert.throws(() => parse(['ping', '--no-data']), {
      code: 'usage',
      message: /Unknown option '--no-data'/,
    });
  });

  it('refuses an option that the command does not take', () => {
    assert.throws(() => parse(['keygen', '--name', 'x']), {
      code: 'usage',
      message: "Command 'keygen' takes no option --name",
    });
    assert.throws(() => parse(['service', 'delete', '--name', 'x', '--ttl', '3s']), {
      code: 'usage',
      message: /no option --ttl/,
    });
  });

  it('refuses an unknown command and names the nearest known one', () => {
    for (const name of ['constructor', 'toString', '__proto__']) {
      assert.throws(() => parse([name]), { code: 'usage', message: /^Unknown command/ });
    }
    assert.throws(() => parse(['pign']), {
      code: 'usage',
      message: /Unknown command 'pign' \(did you mean 'ping'\?\)/,
    });
    assert.throws(() => parse(['service', 'regsiter']), {
      message: /Unknown service command 'regsiter' \(did you mean 'register'\?\)/,
    });
    assert.throws(() => parse(['service', 'help']), {
      message: /Unknown service command 'help' \(did you mean 'help service'\?\)/,
    });
    assert.throws(() => parse(['ping', 'extra']), { message: /^Unexpected argument 'extra' after 'ping'/ });
  });

  it('refuses a missing value, a missing option, a value for a flag, and one given twice', () => {
    assert.throws(() => parse(['ping', '--data']), { code: 'usage', message: /--data needs a value/ });
    assert.throws(() => parse(['service', 'get']), {
      code: 'usage',
      message: "Command 'service get' needs --name NAME",
    });
    assert.throws(() => parse(['service', 'get', '--name', 'a', '--wait=yes']), {
      message: /--wait takes no value/,
    });
    assert.throws(() => parse(['ping', '--data', 'a', '--data', 'b']), {
      message: /given twice: 'a' and 'b'/,
    });
  });

  it('refuses a method without a module', () => {
    for (const method of ['foo', '.foo', 'foo.', ''])
      assert.throws(() => parse(['execute', '--method', method]), /Invalid --method '.*': expected MODULE\./);
  });

  it('refuses columns that name none, and those of a whole answer', () => {
    const get = ['service', 'get', '--name', 'a', '--cols'];
    for (const cols of ['', ',']) {
      assert.throws(() => parse([...get, cols]), {
        code: 'usage',
        message: `Invalid --cols '${cols}': expected names of columns, such as host,port`,
      });
    }
    assert.throws(() => parse([...get, 'b', '--raw']), {
      code: 'usage',
      message: /^Option --cols has no meaning beside --raw: /,
    });
    assert.equal(parse([...get, 'b,c']).args.text('cols'), 'b,c');
  });

  it('refuses what is no place in etcd before the command runs, and repeats no password', () => {
    const migrate = ['migrate', '--from', 'file', '--to', 'etcd'];
    for (const [more, message] of [
      [['--endpoint', '127.0.0.1:2379'], /^Invalid --endpoint '127\.0\.0\.1:2379': expected a URL such as /],
      [['--endpoint', 'http://a:2379', '--endpoint', 'b'], /^Invalid --endpoint 'b': /],
      [['--endpoint', 'http://me:geheim@a:2379'], /^Invalid --endpoint: (?!.*geheim)/],
      [['--prefix', 'foo'], /^Invalid --prefix 'foo': expected a text that ends with '\/'/],
      [['--prefix', ''], /^Invalid --prefix '': /],
    ] as const)
      assert.throws(() => parse([...migrate, ...more]), { code: 'usage', message });
    // No entry may be named so, but keys in etcd may.
    for (const prefix of ['_x/', '/bpbroker/'])
      assert.equal(parse([...migrate, '--prefix', prefix]).args.text('prefix'), prefix);
  });

  it('refuses a value that is no choice, from the environment too', () => {
    assert.throws(() => parse(['ping', '--format', 'jsn']), {
      message: "Invalid --format 'jsn' (did you mean 'json'?): expected text, json, csv, csv-noheader or env",
    });
    const { args } = parse(['start'], { BPBROKER_LOG_FORMAT: 'xml' });
    assert.throws(() => args.text('log-format'), {
      code: 'usage',
      message: "Invalid BPBROKER_LOG_FORMAT 'xml': expected text, json or auto",
    });
  });

  it('lets an option win over its variable, and takes an empty variable as none', () => {
    const env = { BPBROKER: 'env:1', BPBROKER_ACCESS_KEY: '', BPBROKER_INTERFACES: 'lo,eth0' };
    const { args } = parse(['ping', '-b', 'opt:1'], env);
    assert.equal(args.text('bpbroker'), 'opt:1');
    assert.equal(args.text('access-key'), undefined);
    assert.equal(parse(['ping'], env).args.text('bpbroker'), 'env:1');
    assert.deepEqual(parse(['ping'], env).args.list('interface'), ['lo', 'eth0']);
    const { BPBROKER: _, ...unnamed } = env;
    assert.deepEqual(
      parse(['ping', '--interface', 'a', '--interface', 'b'], unnamed).args.list('interface'),
      ['a', 'b'],
    );
  });

  it('refuses options of which one has no meaning beside the other, and says what to do', () => {
    const port = /--port has no meaning beside --bpbroker.*--bpbroker HOST:PORT/;
    assert.throws(() => parse(['ping', '-b', 'h', '--port', '1'], {}), port);
    assert.throws(() => parse(['--port=1', 'service', 'get', '--name', 'x', '-b', 'h'], {}), port);
    const byVariable = /--target has no meaning beside BPBROKER:/;
    assert.throws(() => parse(['ping', '--target', 'x'], { BPBROKER: 'h' }), byVariable);
    assert.throws(() => parse(['ping', '-b', 'h', '--interface', 'lo'], {}), /--interface has no meaning/);
    assert.throws(
      () => parse(['ping', '--quiet', '--verbose'], {}),
      /--verbose has no meaning beside --quiet/,
    );
    // What an environment says for all commands is no contradiction, nor is an empty variable.
    assert.ok(parse(['ping', '-b', 'h'], { BPBROKER_INTERFACES: 'lo' }));
    assert.ok(parse(['ping', '--target', 'x'], { BPBROKER: '' }));
    assert.ok(parse(['discover', '--name', 'x', '--port', '1'], { BPBROKER: 'h' }));
  });

  it('refuses a name that no entry can have, before anything is done with it', () => {
    const wrong: [string, RegExp][] = [
      ['', /^Invalid --name: a name must not be empty$/],
      ['x'.repeat(513), /^Invalid --name: a name takes at most 512 bytes, this one has 513$/],
      ['a\nb', /^Invalid --name: name "a\\nb" contains a control character$/],
      ['_access_key', /^Invalid --name: name '_access_key' starts with '_', which is reserved$/],
    ];
    const takers = [
      ...['register', 'replace', 'update', 'renew', 'get', 'delete', 'watch'].map((command) => [
        'service',
        command,
      ]),
      ['discover'],
      ['trust'],
    ];
    for (const words of takers)
      for (const [name, message] of wrong)
        assert.throws(() => parse([...words, '--name', name]), { code: 'usage', message });
    for (const command of ['list', 'watch']) {
      for (const [prefix, message] of wrong.slice(1)) {
        const inPrefix = new RegExp(message.source.replace('--name', '--prefix'));
        assert.throws(() => parse(['service', command, '--prefix', prefix]), {
          code: 'usage',
          message: inPrefix,
        });
      }
      assert.equal(parse(['service', command, '--prefix', '']).args.text('prefix'), '');
    }
  });

  it('refuses a time or a number that is none, before anything is done with it', () => {
    for (const [option, value] of [
      ['timeout', 'soon'],
      ['ttl', '1 week'],
      ['ttl', '3651d'],
      ['if-revision', '-1'],
    ] as const)
      assert.throws(() => parse(['service', 'update', '--name', 'x', `--${option}`, value]), {
        code: 'usage',
        message: new RegExp(`^Invalid --${option} '${value}': expected `),
      });
    const byVariable = parse(['ping'], { BPBROKER_TIMEOUT: 'soon' });
    assert.throws(() => byVariable.args.text('timeout'), {
      code: 'usage',
      message: /^Invalid BPBROKER_TIMEOUT 'soon'/,
    });
    assert.equal(parse(['ping'], { BPBROKER_TIMEOUT: '1d' }).args.text('timeout'), '1d');
  });

  it('takes no variable for an option by which its command means something of its own', () => {
    const env = { BPBROKER: 'h', BPBROKER_FINGERPRINT: 'f', BPBROKER_TIMEOUT: '1s' };
    const { args } = parse(['trust', '--forget'], env);
    assert.deepEqual(
      (['bpbroker', 'fingerprint', 'timeout'] as const).map((name) => args.text(name)),
      [undefined, undefined, undefined],
    );
    assert.equal(parse(['ping'], env).args.text('timeout'), '1s');
  });

  it('asks for help or version without anything else that the command requires', () => {
    assert.ok(parse(['service', 'get', '-h']).args.flag('help'));
    assert.ok(parse(['--version']).args.flag('version'));
    assert.equal(parse(['service']).command.load, undefined);
  });
});

describe('options of output that contradict each other', () => {
  const refused = (words: readonly string[], message: string): void =>
    assert.throws(() => parse(words), { code: 'usage', message }, words.join(' '));

  it('are refused: --raw, which is JSON, beside any other --format, on every command that has both', () => {
    const all = commandsBelow(root, []);
    const both = all.filter(
      ({ command: { options = [] } }) => options.includes('raw') && options.includes('format'),
    );
    assert.ok(both.length >= 6, `${both.length} commands`);
    for (const { path, command } of both) {
      const needs = (command.required ?? []).flatMap((name) => [`--${name}`, 'x']);
      for (const format of ['text', 'csv', 'csv-noheader', 'env'])
        for (const words of [
          ['--raw', '--format', format],
          [`--format=${format}`, '--raw'],
        ])
          refused(
            [...path, ...needs, ...words],
            `Option --format ${format} has no meaning beside --raw: the whole answer is JSON; leave one of them out`,
          );
      assert.equal(parse([...path, ...needs, '--raw', '--format', 'json']).args.flag('raw'), true);
    }
  });

  it('are refused: each pair of which one would be ignored', () => {
    const get = ['service', 'get', '--name', 'x'];
    const pairs: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ['discover', '--all', '--format', 'env'],
        /^Option --format env has no meaning beside --all: variables can hold one/,
      ],
      [[...get, '--raw', '--cols', 'a'], /^Option --cols has no meaning beside --raw/],
      [[...get, '--raw', '--data-only'], /^Option --data-only has no meaning beside --raw/],
      [[...get, '--raw', '--default', 'a'], /^Option --default has no meaning beside --raw/],
      [[...get, '--quiet', '--verbose'], /^Option --verbose has no meaning beside --quiet/],
      [['service', 'list', '--count', '--data-only'], /^Option --data-only has no meaning beside --count/],
      [['service', 'delete', '--prefix', 'x', '--raw'], /^Option --prefix has no meaning beside --raw/],
    ];
    for (const [words, message] of pairs) assert.throws(() => parse(words), { code: 'usage', message });
    for (const format of ['text', 'json', 'csv'])
      assert.equal(parse(['discover', '--all', '--format', format]).args.text('format'), format);
  });
});

function commandsBelow(
  group: Command,
  path: readonly string[],
): { path: readonly string[]; command: Command }[] {
  return Object.entries(group.subCommands ?? {}).flatMap(([name, command]) =>
    command.subCommands ? commandsBelow(command, [...path, name]) : [{ path: [...path, name], command }],
  );
}
