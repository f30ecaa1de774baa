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
});
