import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type OptionName, optionDefinitions } from '../../../src/cli/options/options.ts';
import { cleanEnv, launchers, run } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { bpbroker, skipOf } from '../support.ts';

const start = ['start', '--listen-port', '0'];
const ping = ['ping', '--bpbroker', '127.0.0.1:1'];

/** For each option that a variable stands in for: a value that is no good, and a command that reads it. */
const wrong: Partial<
  Readonly<Record<OptionName, readonly (readonly [value: string, command: readonly string[]])[]>>
> = {
  config: [
    ['none/b.json', start],
    ['none/b.json', ['configure']],
    ['none.json', ['backup']],
    ['none.json', ['migrate', '--from', 'file', '--to', 'etcd', '--endpoint', 'http://127.0.0.1:1']],
  ],
  'listen-ip': [['localhost', start]],
  'listen-port': [['65536', ['start']]],
  'ssl-cert': [['none.crt', start]],
  'ssl-key': [['none.key', start]],
  'log-format': [['xml', start]],
  'log-level': [['loud', start]],
  bpbroker: [
    ['a b', ['ping']],
    ['https://127.0.0.1:99999', ['ping']],
    ['a b', ['doctor']],
  ],
  'access-key': [['', ping]],
  fingerprint: [
    ['zz', ping],
    ['zz', ['ping']],
    ['', ping],
  ],
  ca: [['none.pem', ['ping', '--bpbroker', 'https://127.0.0.1:1']]],
  timeout: [
    ['soon', ping],
    ['500ms', ['doctor']],
  ],
  interface: [
    ['nope0', ['ping']],
    ['nope0', ['doctor']],
  ],
};

describe('a variable that stands in for an option', () => {
  for (const [name, { env: variable }] of Object.entries(optionDefinitions)) {
    if (variable === undefined) continue;
    it(`is named in the error about its value, and the option is not: ${variable}`, async () => {
      const cases = wrong[name as OptionName] ?? [];
      assert.ok(cases.length > 0, 'each has a value here that is no good');
      for (const [value, command] of cases) {
        const dir = tempDir();
        const env = cleanEnv(dir, { BPBROKER_INTERFACES: 'lo', [variable]: value });
        for (const launcher of launchers) {
          if (skipOf(launcher) !== false) continue;
          const { code, stderr } = await run([...launcher.bpbroker, ...command], {
            env,
            cwd: dir,
            input: '{}',
          });
          const what = `${launcher.name}: ${command.join(' ')}: ${stderr}`;
          assert.equal(code, 2, what);
          assert.match(stderr, new RegExp(`^Fatal error: [^\\n]*\\b${variable}\\b[^\\n]*\\n$`), what);
          assert.ok(!stderr.includes(`--${name}`), what);
        }
      }
    });
  }
});

describe('an option that names a file', () => {
  const cases: readonly (readonly [option: string, command: readonly string[]])[] = [
    ['--config', ['backup']],
    ['--config', ['migrate', '--from', 'file', '--to', 'etcd', '--endpoint', 'http://127.0.0.1:1']],
    ['--from', ['restore']],
    ['--script', ['install-extension']],
    ['--config-file', ['configure']],
    ['--key-file', ['keygen']],
    ['--ssl-cert', start],
    ['--ssl-key', start],
    ['--access-key-file', ping],
    ['--discover-key-file', ping],
    ['--ca', ['ping', '--bpbroker', 'https://127.0.0.1:1']],
    ['--data-file', ['service', 'register', '--name', 'a', '--bpbroker', '127.0.0.1:1']],
    ['--data-file', ['execute', '--method', 'a.b', '--bpbroker', '127.0.0.1:1']],
  ];
  for (const [option, command] of cases) {
    it(`refuses one that is not there, and a folder, with exit code 2: ${command[0]} ${option}`, async () => {
      const dir = tempDir();
      for (const [file, why] of [
        ['none', /there is no such file or folder: check the path \[ENOENT\]/],
        ...(option === '--script'
          ? []
          : ([['.', /it is a folder: give the path of a file \[EISDIR\]/]] as const)),
      ] as const) {
        const { code, stdout, stderr } = await bpbroker(dir, [...command, option, file]);
        assert.deepEqual([code, stdout], [2, ''], stderr);
        assert.match(stderr, new RegExp(`^Fatal error: Cannot read ${option} \\S+: [^\\n]*\\n$`));
        assert.match(stderr, why);
      }
    });
  }

  // The kernel refuses to read what no memory is mapped to, as it does where a disk fails (proc(5)).
  const failing = '/proc/self/mem';
  const reading = cases.filter(([option]) => !/^--(?:script|config|ssl-.*)$/.test(option));
  for (const [option, command] of reading) {
    it(
      `is no mistake of the command line where its device fails, exit code 1: ${command[0]} ${option}`,
      { skip: existsSync(failing) ? false : 'needs /proc' },
      async () => {
        const dir = tempDir();
        for (const launcher of launchers) {
          if (skipOf(launcher) !== false) continue;
          const { code, stdout, stderr } = await run([...launcher.bpbroker, ...command, option, failing], {
            env: cleanEnv(dir, { BPBROKER_INTERFACES: 'lo' }),
            cwd: dir,
          });
          assert.deepEqual([code, stdout], [1, ''], `${launcher.name}: ${stderr}`);
          assert.match(stderr, /^Fatal error: Cannot [^\n]*\/proc\/self\/mem: [^\n]*\[EIO\][^\n]*\n$/);
        }
      },
    );
  }

  it('of doctor must exist too', async () => {
    const { code, stderr } = await bpbroker(tempDir(), ['doctor', '--config', 'none']);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /^Fatal error: Cannot read --config \S+: there is no such file or folder/);
  });

  it('is not what the default place is: that nothing is there is exit code 3', async () => {
    const dir = tempDir();
    for (const command of [['backup'], ['migrate', '--from', 'etcd', '--to', 'file']]) {
      const { code, stderr } = await bpbroker(dir, command);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /^Fatal error: There is no /);
    }
  });

  it('may name one that is made: the folder must be there, and is not made', async () => {
    const dir = tempDir();
    writeFileSync(path.join(dir, 'say.mjs'), '');
    const commands = [
      ['start'],
      ['configure', '--config-file', 'file'],
      ['restore', '--from', 'file'],
      ['install-extension', '--enable', '--script', 'say.mjs'],
    ];
    writeFileSync(path.join(dir, 'file'), '{}');
    for (const [folder, command] of ['none', 'file'].flatMap((at) =>
      commands.map((one) => [at, one] as const),
    )) {
      const { code, stderr } = await bpbroker(dir, [...command, '--config', `${folder}/b.json`]);
      assert.equal(code, 2, stderr);
      assert.match(
        stderr,
        /^Fatal error: There is no folder \S+ for the configuration \S+; correct --config, or/,
      );
    }
  });
});
