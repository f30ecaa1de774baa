import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { BrokerClient } from '../../src/client/client.ts';
import { connectTo, reference, skipOf } from '../programs/support.ts';
import { cleanEnv, launchers, run, type RunningBroker, startBroker } from '../support/programs/programs.ts';
import { ptyProblem, runOnTerminal } from '../support/programs/pty.ts';
import { tempDir } from '../support/temp.ts';

/** Row "terminals" of the security page, on a real one. */

const nasty = 'a\u001b]0;x\u0007b\u009b31mc\u007fd\re\u0085f\tg\nh é';
const asShown = 'a\\u001b]0;x\\u0007b\\u009b31mc\\u007fd\\u000de\\u0085f\tg\nh é';
// Output of a terminal has its line ends.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;

let broker: RunningBroker;
let client: BrokerClient;
before(async () => {
  const dir = tempDir();
  const lib = path.join(dir, 'bpbroker', 'lib');
  mkdirSync(lib, { recursive: true, mode: 0o700 });
  // Raw bytes that are no UTF-8, and a control character that arrives in two pieces.
  const script = `#!/bin/sh\ncat >/dev/null\ncase $1 in\nFail) printf 'no \\033[2J\\302\\233way' >&2; exit 1;;\nesac\nprintf '\\033]0;x\\007 \\233 \\302'; sleep 0.2; printf '\\233 end'\n`;
  writeFileSync(path.join(lib, 'say'), script, { mode: 0o700 });
  const told = `export const Tell = () => ({ [${JSON.stringify(nasty)}]: ${JSON.stringify(nasty)} });\n`;
  writeFileSync(path.join(lib, 'tell.mjs'), told, { mode: 0o600 });
  broker = await startBroker(reference, { dir, config: { say: {}, tell: {} } });
  client = await connectTo(broker);
  await client.replace('text', nasty);
  await client.replace('object', { [nasty]: nasty });
});

for (const launcher of launchers) {
  describe(`output on ${launcher.name}`, { skip: skipOf(launcher) || ptyProblem }, () => {
    const home = tempDir();
    const command = (args: readonly string[]): string[] => [
      ...launcher.bpclient,
      '--bpbroker',
      `127.0.0.1:${broker.port}`,
      '--fingerprint',
      broker.fingerprint,
      ...args,
    ];
    const options = { env: cleanEnv(home), cwd: home };
    const onTerminal = async (args: readonly string[]): Promise<string> =>
      (await runOnTerminal(command(args), options)).stdout.replaceAll('\r\n', '\n');
    const toPipe = (args: readonly string[]): Promise<string> =>
      run(command(args), options).then(({ stdout }) => stdout);

    it('row "terminals": a string is shown on a terminal, and is itself in a pipe', async () => {
      const get = ['service', 'get', '--name', 'text'];
      assert.equal(await onTerminal(get), `${asShown}\n`);
      assert.equal(await toPipe(get), `${nasty}\n`);
      const ping = ['ping', '--data', 'x\u009by'];
      assert.equal(await onTerminal(ping), 'x\\u009by\n');
      assert.equal(await toPipe(ping), 'x\u009by\n');
    });

    it('row "terminals": no command and no format sends a control character to a terminal', async () => {
      const formats = ['text', 'json', 'csv', 'csv-noheader', 'env'].map((format) => ['--format', format]);
      for (const args of [...formats, ['--raw'], ['--cols', 'data']]) {
        const printed = await onTerminal(['service', 'get', '--name', 'text', ...args]);
        assert.match(printed, /\\u009b/, args.join(' '));
        assert.doesNotMatch(printed, control, args.join(' '));
      }
      for (const args of [...formats.slice(0, 4), ['--cols', 'name,data']]) {
        const printed = await onTerminal(['service', 'list', ...args]);
        assert.match(printed, /\\u009b/, args.join(' '));
        assert.doesNotMatch(printed, control, args.join(' '));
      }
      const watch = ['service', 'watch', '--name', 'changed', '--count', '3', '--timeout', '30s'];
      const watching = onTerminal(watch);
      const writing = setInterval(() => void client.replace('changed', nasty), 100);
      const lines = await watching.finally(() => clearInterval(writing));
      assert.match(lines, /"_str": .*\\u009b|"data": .*\\u009b/);
      assert.doesNotMatch(lines, control);
      for (const missing of ['service get --name', 'service get --wait --timeout 1200ms --name']) {
        const printed = (await onTerminal([...missing.split(' '), 'no\u009b\u001b]0;x\u0007ne']))
          // The line that says what is waited for, which is ours, and is taken back.
          .replaceAll('\r\u001b[K', '');
        assert.match(printed, /Fatal error: /);
        assert.doesNotMatch(printed, control);
      }
    });

    it('row "terminals": JSON escapes 7f to 9f in a pipe too', async () => {
      for (const args of [
        ['service', 'get', '--name', 'object'],
        ['service', 'get', '--name', 'text', '--format', 'json'],
        ['service', 'get', '--name', 'text', '--raw'],
        ['service', 'list'],
        ['service', 'list', '--format', 'json'],
        ['execute', '--method', 'tell.Tell'],
      ]) {
        const printed = await toPipe(args);
        assert.match(printed, /\\u009b/, args.join(' '));
        assert.doesNotMatch(printed, /[\u007f-\u009f]/, args.join(' '));
      }
      const object = JSON.parse(await toPipe(['service', 'get', '--name', 'object'])) as Record<
        string,
        string
      >;
      assert.equal(object[nasty], nasty, 'and it is the same data');
    });

    it('row "terminals": output of an extension is shown on a terminal, and to the byte in a pipe', async () => {
      const printed = await onTerminal(['execute', '--method', 'say.It']);
      assert.equal(printed, '\\u001b]0;x\\u0007 \uFFFD \\u009b end');
      const bytes = path.join(home, 'bytes');
      const words = [...command(['execute', '--method', 'say.It']), '>', bytes];
      await run(['sh', '-c', `"$@" >'${bytes}'`, 'sh', ...words.slice(0, -2)], options);
      const { stdout } = await run(['od', '-An', '-tx1', bytes]);
      assert.equal(
        stdout.replaceAll(/\s/g, ''),
        Buffer.from('\u001b]0;x\u0007 \u009b \u00c2\u009b end', 'latin1').toString('hex'),
      );
      const failed = await onTerminal(['execute', '--method', 'say.Fail']);
      assert.match(failed, /no \\u001b\[2J\\u009bway/);
      assert.doesNotMatch(failed, control);
    });
  });
}
