import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { launchers, type RunningBroker, type RunResult } from '../../support/programs/programs.ts';
import { isRunning } from '../../support/programs/is-running.ts';
import { waitFor } from '../../support/wait.ts';
import { brokerWith, pythonSource, scriptSource, shellSource } from './extension-files.ts';
import { skipOf } from '../support.ts';

const windows = process.platform === 'win32';
const files = { 'script.mjs': scriptSource, 'python.py': pythonSource, 'shell.sh': shellSource };
const options = {
  script: { greeting: 'hello' },
  python: { greeting: 'hello' },
  shell: { _access_key: 'key' },
};
type Language = 'script' | 'python' | 'shell';

for (const launcher of launchers) {
  describe(
    `extensions, on ${launcher.name}`,
    { skip: skipOf(launcher) || (windows && 'shell scripts are POSIX') },
    () => {
      let broker: RunningBroker;
      const execute = (method: string, ...args: string[]): Promise<RunResult> =>
        broker.client(['--access-key', 'key', 'execute', '--method', method, ...args]);

      before(async () => {
        broker = await brokerWith(launcher, files, options);
      });
      after(() => broker.kill());

      for (const language of ['script', 'python', 'shell'] as const satisfies Language[]) {
        it(`runs a method with its data, and prints what it answers: ${language}`, async () => {
          const { code, stdout, stderr } = await execute(`${language}.Text`, '--data', 'web1');
          assert.deepEqual([code, stdout], [0, 'text of web1\n'], stderr);
        });

        it(`prints bytes as they are: ${language}`, async () => {
          // As text the bytes would have been changed on their way here; their count tells.
          const { stdout } = await execute(`${language}.Bytes`);
          assert.equal(stdout, '\u0000\uFFFD\n');
        });

        it(`prints large output whole: ${language}`, async () => {
          const { stdout } = await execute(`${language}.Big`);
          assert.equal(Buffer.byteLength(stdout), 600_001);
        });

        it(`prints output as it arrives: ${language}`, async () => {
          const { code, stdout } = await execute(`${language}.Slowly`);
          assert.deepEqual([code, stdout], [0, '1\n2\n3\n']);
        });

        it(`tells a failure that comes after output: ${language}`, async () => {
          const { code, stdout, stderr } = await execute(`${language}.Slowly`, '--data', 'fail');
          assert.equal(code, 1);
          assert.equal(stdout, '1\n2\n3\n');
          assert.match(stderr, /^Fatal error: failed at the end$/m);
        });

        it(`ends with the extension's own message when it fails: ${language}`, async () => {
          const { code, stdout, stderr } = await execute(`${language}.Throws`);
          assert.deepEqual([code, stdout], [1, '']);
          assert.match(stderr, /^Fatal error: it broke$/m);
        });

        it(`names what is there when the method is missing: ${language}`, async () => {
          const { code, stderr } = await execute(`${language}.Missing`);
          assert.equal(code, language === 'shell' ? 1 : 3);
          assert.match(
            stderr,
            language === 'shell' ? /no method Missing/ : /has no method 'Missing'; it has .*Echo/,
          );
        });

        it(`row "extensions": never calls a private method: ${language}`, async () => {
          const { code, stderr } = await execute(`${language}._private`);
          assert.equal(code, 5);
          assert.match(stderr, /Method '_private' is private/);
        });
      }

      it('hands a script data, parameters, method, address and its own configuration, without the key', async () => {
        const { stdout } = await execute('script.Echo', '--data', '{"a": [1, "é"]}');
        assert.deepEqual(JSON.parse(stdout), {
          data: { a: [1, 'é'] },
          params: { data: '{"a": [1, "é"]}' },
          method: 'Echo',
          clientAddress: '127.0.0.1',
          config: { greeting: 'hello' },
        });
      });

      it('hands a Python module rh as the original did', async () => {
        const { stdout } = await execute('python.Echo', '--data', 'x');
        assert.deepEqual(JSON.parse(stdout), {
          qs: { data: 'x' },
          from: '127.0.0.1',
          config: { greeting: 'hello' },
          method: 'Echo',
        });
      });

      it('hands a program the request on standard input', async () => {
        const { stdout } = await execute('shell.Echo', '--data', 'x');
        assert.deepEqual(JSON.parse(stdout), {
          module: 'shell',
          method: 'Echo',
          data: 'x',
          params: { data: 'x' },
          client_address: '127.0.0.1',
          config: {},
        });
      });

      it('shapes JSON output as other results', async () => {
        const { stdout } = await execute(
          'script.Echo',
          '--data',
          'x',
          '--cols',
          'method,data',
          '--format',
          'csv',
        );
        assert.equal(stdout, 'method,data\nEcho,x\n');
      });

      it("takes a status of the extension's own", async () => {
        for (const method of ['script.Status', 'python.Status']) {
          const { code, stderr } = await execute(method);
          assert.deepEqual([code, stderr], [3, 'Fatal error: no such agent\n'], method);
        }
      });

      it('lets extensions use the registry, and writes their lines to the log', async () => {
        const script = await execute('script.Registry');
        assert.deepEqual(JSON.parse(script.stdout), [['made/by-extension', { a: 1 }]], script.stderr);
        const python = await execute('python.Registry');
        assert.deepEqual(JSON.parse(python.stdout), {
          'made/by-extension': { a: 1 },
          'made/by-python': { a: 1 },
        });
        const entry = await broker.client([
          'service',
          'get',
          '--name',
          'made/by-python',
          '--cols',
          'last_write_ip,a',
        ]);
        assert.equal(entry.stdout, '127.0.0.1\t1\n');
        for (const name of ['script', 'python']) {
          await waitFor('the lines of the log', () => {
            const lines = broker
              .stderr()
              .split('\n')
              .filter((line) => line.includes(`extension=${name}`));
            return ['a line for the log', 'printed by the extension'].every((text) =>
              lines.some((line) => line.includes(JSON.stringify(text))),
            );
          });
        }
      });

      it('lets extensions read long entries, and long lists', async () => {
        for (const name of ['script', 'python']) {
          const { stdout, stderr } = await execute(`${name}.Long`);
          assert.deepEqual(stdout === '' ? stderr : JSON.parse(stdout), { one: 5000, all: 20 }, name);
        }
      });

      it('tells an extension what the registry refuses', async () => {
        for (const name of ['script', 'python']) {
          const { code, stderr } = await execute(`${name}.Twice`);
          assert.deepEqual([code, stderr], [4, "Fatal error: Entry 'taken' already exists\n"]);
        }
      });

      it('lets one call at a time hold a lock, across processes', async () => {
        for (const name of ['script', 'python']) {
          await broker.client(['service', 'delete', '--name', 'counter']);
          const calls = await Promise.all(Array.from({ length: 8 }, () => execute(`${name}.Locked`)));
          const numbers = calls.map(({ stdout }) => Number(stdout)).toSorted((a, b) => a - b);
          assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8], calls.map(({ stderr }) => stderr).join(''));
        }
      });

      it('keeps a process warm, and starts another for a new version of the file', async () => {
        const [first, second] = [
          (await execute('script.Which')).stdout,
          (await execute('script.Which')).stdout,
        ];
        assert.equal(first.split(' ')[0], second.split(' ')[0]);
        assert.notEqual(first, second);
        appendFileSync(
          path.join(broker.dir, 'bpbroker', 'lib', 'script.mjs'),
          "export const New = () => 'new';\n",
        );
        assert.equal((await execute('script.New')).stdout, 'new\n');
      });

      it('refuses a missing module, one that is not enabled, a wrong key and a malformed method, each with its code', async () => {
        const refused: [readonly string[], number, RegExp][] = [
          [
            ['--access-key', 'wrong', 'execute', '--method', 'shell.Echo'],
            5,
            /Incorrect access key for module 'shell'/,
          ],
          [['execute', '--method', 'shell.Echo'], 5, /'shell' asks for an access key, and none was given/],
          [
            ['execute', '--method', 'nothing.Echo'],
            3,
            /Module 'nothing' is not enabled; a top-level key 'nothing'/,
          ],
          [['execute', '--method', 'NoModule'], 2, /Invalid --method 'NoModule': expected MODULE\.METHOD/],
          [['execute', '--method', 'script.Echo', '--data', 'x', '--data-file', 'y'], 2, /not both/],
          [['execute'], 2, /needs --method/],
        ];
        for (const [args, expected, message] of refused) {
          const { code, stdout, stderr } = await broker.client(args);
          assert.deepEqual([code, stdout], [expected, ''], stderr);
          assert.match(stderr, message);
        }
      });

      it('breaks the connection off when a failure comes after output, for clients that do not ask for frames', async () => {
        const outcome = await rawGet(broker.port, '/script/Slowly?data=fail');
        assert.deepEqual(outcome, {
          status: 200,
          type: 'text/plain; charset=utf-8',
          text: '1\n2\n3\n',
          whole: false,
        });
        const good = await rawGet(broker.port, '/script/Slowly');
        assert.deepEqual(good, { ...outcome, whole: true });
      });

      it('answers plain HTTP with status, type and body of the extension', async () => {
        const own = await rawGet(broker.port, '/script/Own');
        assert.deepEqual(own, { status: 202, type: 'text/html', text: '<p>', whole: true });
        const failed = await rawGet(broker.port, '/python/Status');
        assert.equal(failed.status, 404);
        assert.deepEqual(JSON.parse(failed.text), {
          success: false,
          message: 'no such agent',
          code: 'not_found',
          data: {},
        });
        assert.equal((await rawGet(broker.port, '/shell/Throws?access_key=key')).status, 500);
      });

      it('gives up when the time of --timeout has passed', async () => {
        const { code, stderr } = await execute('script.Slowly', '--timeout', '200ms');
        assert.equal(code, 9);
        assert.match(stderr, /^Fatal error: Gave up waiting for script\.Slowly after 200 ms$/m);
      });

      it(
        'leaves no process behind when it stops',
        { skip: process.platform !== 'linux' && 'looks into /proc' },
        async () => {
          const [pid = ''] = (await execute('script.Which')).stdout.split(' ');
          assert.ok(isRunning(Number(pid)));
          assert.equal((await broker.stop()).code, 0, broker.stderr());
          await waitFor('the host to end', () => !isRunning(Number(pid)));
        },
      );
    },
  );
}

interface RawAnswer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly text: string;
  /** Whether it came to its proper end. */
  readonly whole: boolean;
}

function rawGet(port: number, target: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = https.get({ port, path: target, rejectUnauthorized: false, agent: false }, (incoming) => {
      let text = '';
      const { statusCode: status } = incoming;
      const type = incoming.headers['content-type'];
      incoming.setEncoding('utf8').on('data', (part: string) => (text += part));
      incoming.once('error', () => undefined);
      incoming.once('close', () => resolve({ status, type, text, whole: incoming.complete }));
    });
    request.once('error', reject);
  });
}
