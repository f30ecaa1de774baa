import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokerCommands } from '../../src/cli/programs/broker-commands.ts';
import { clientCommands } from '../../src/cli/programs/client-commands.ts';
import { parseCommandLine, type ParsedCommandLine } from '../../src/cli/options/parse.ts';

const root = { description: '', subCommands: { ...brokerCommands, ...clientCommands } };
const parse = (argv: readonly string[], env: Record<string, string>): ParsedCommandLine =>
  parseCommandLine(argv, root, env);

describe('parseCommandLine()', () => {
  it('refuses an empty variable that would weaken a check, where a command takes it, used or not', () => {
    for (const variable of ['BPBROKER_CA', 'BPBROKER_FINGERPRINT']) {
      const env = { [variable]: '' };
      const empty = {
        code: 'usage',
        message: new RegExp(`^The variable ${variable} is empty: .*, or unset it$`),
      };
      for (const args of [['ping'], ['ping', '-b', 'h'], ['ping', '-b', 'https://h'], ['doctor']])
        assert.throws(() => parse(args, env), empty, args.join(' '));
      const option = variable === 'BPBROKER_CA' ? 'ca=x' : `fingerprint=sha256:${'0'.repeat(64)}`;
      assert.ok(parse(['ping', `--${option}`], env));
      assert.ok(parse(['ping', '--help'], env));
      assert.ok(parse(['keygen'], env));
    }
  });

  it('takes --config before every word that bpbroker of 0.22 has', () => {
    for (const word of ['start', 'install-service', 'uninstall-service', 'install-extension', 'configure']) {
      const more = word === 'install-extension' ? ['--script', 'x.py'] : [];
      assert.equal(parse(['--config', 'f.json', word, ...more], {}).args.text('config'), 'f.json');
    }
    // What a script exports for its broker does not say which service is removed.
    assert.equal(parse(['uninstall-service'], { BPBROKER_CONFIG: 'f.json' }).args.text('config'), undefined);
  });
});
