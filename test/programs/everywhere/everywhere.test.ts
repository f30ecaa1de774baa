import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { emulatedLaunchers } from '../../support/programs/emulated.ts';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';

const body = `return { greeting: 'hello ' + data, from: process.platform + '-' + process.arch };`;
const inTypeScript = `
interface Request { readonly data: string }
export async function Greet({ data }: Request): Promise<{ greeting: string; from: string }> { ${body} }
`;
const inJavaScript = `export async function Greet({ data }) { ${body} }\n`;

/** What the extension must find itself on: it runs on the broker's own machine. */
const machines: Readonly<Record<string, string>> = {
  'linux-arm64': 'linux-arm64',
  'windows-x64': 'win32-x64',
};

/** The same cases for every way to run the programs, also those that this machine can only emulate. */
for (const launcher of [...launchers, ...(await emulatedLaunchers())]) {
  const skip = launcher.available === true ? false : launcher.available;
  // Node strips types from 22.18 on.
  const runsTypeScript = launcher.name !== 'node20' || Number(launcher.version.split('.')[0]) > 22;
  describe(`the programs on ${launcher.name}`, { skip }, () => {
    let broker: RunningBroker;
    const output = async (...args: string[]): Promise<[number | undefined, string]> => {
      const { code, stdout, stderr } = await broker.client(args);
      return [code, code === 0 ? stdout : stderr];
    };

    before(async () => {
      const dir = tempDir();
      const lib = path.join(dir, 'bpbroker', 'lib');
      mkdirSync(lib, { recursive: true, mode: 0o700 });
      if (runsTypeScript) writeFileSync(path.join(lib, 'hello.ts'), inTypeScript, { mode: 0o600 });
      else writeFileSync(path.join(lib, 'hello.mjs'), inJavaScript, { mode: 0o600 });
      broker = await startBroker(launcher, { dir, config: { hello: {} } });
    });

    it('say their version, and what they run on', async () => {
      const home = tempDir();
      const target = machines[launcher.name]?.replace('win32', 'windows');
      for (const program of ['bpbroker', 'bpclient'] as const) {
        const { stdout } = await run([...launcher[program], '--version'], { env: cleanEnv(home) });
        assert.match(
          stdout,
          new RegExp(String.raw`^${program} \d+\.\d+\.\d+ \((bun|node|deno) [\d.]+, ${target ?? '.*'}\)\n$`),
        );
      }
    });

    it('ping a broker, and take its identity from then on', async () => {
      const first = await broker.client(['ping', '--data', 'a "b" $c %d é']);
      assert.deepEqual([first.code, first.stdout], [0, 'a "b" $c %d é\n'], first.stderr);
      assert.match(first.stderr, /^First contact with the broker at 127\.0\.0\.1:\d+/);
      const again = await broker.client(['ping', '--data', 'x']);
      assert.deepEqual([again.stdout, again.stderr], ['x\n', '']);
    });

    it('register once, read, merge, list and delete', async () => {
      const name = ['--name', 'db/1'];
      assert.deepEqual((await output('service', 'register', ...name, '--data', '{"host": "a"}'))[0], 0);
      assert.deepEqual(await output('service', 'register', ...name, '--data', '{}'), [
        4,
        "Fatal error: Entry 'db/1' already exists\n",
      ]);
      assert.equal((await output('service', 'update', ...name, '--data', '{"port": 1}'))[0], 0);
      assert.deepEqual(
        await output('service', 'get', ...name, '--format', 'csv-noheader', '--cols', 'host,port'),
        [0, 'a,1\n'],
      );
      assert.match((await output('service', 'list', '--prefix', 'db/'))[1], /^db\/1\t\{.*"port": 1/);
      assert.deepEqual(await output('service', 'delete', ...name), [0, '']);
      assert.deepEqual(await output('service', 'get', ...name), [3, "Fatal error: Entry 'db/1' not found\n"]);
    });

    it('read data from a file and from standard input', async () => {
      const file = path.join(broker.dir, 'data.txt');
      writeFileSync(file, 'from a file\n');
      const args = ['service', 'replace', '--name', 'fed', '--data-file'];
      assert.deepEqual(await output(...args, file), [0, 'from a file\n']);
      const { stdout } = await broker.client([...args, '-'], { input: 'from outside' });
      assert.equal(stdout, 'from outside\n');
    });

    it('find the broker by the name of an entry', async () => {
      assert.equal((await output('service', 'replace', '--name', 'here', '--data', 'x'))[0], 0);
      const args = ['discover', '--name', 'here', '--port', String(broker.udpPort)];
      const found = await broker.client(args, { address: false });
      assert.deepEqual([found.code, found.stdout], [0, `127.0.0.1:${broker.port}\n`], found.stderr);
    });

    it(`run an extension in ${runsTypeScript ? 'TypeScript' : 'JavaScript'} on the broker`, async () => {
      const [code, text] = await output('execute', '--method', 'hello.Greet', '--data', 'you');
      assert.equal(code, 0, `${text}${broker.stderr()}`);
      const from = machines[launcher.name] ?? `${process.platform}-${process.arch}`;
      assert.deepEqual(JSON.parse(text), { greeting: 'hello you', from });
    });

    it('keep data over a clean end and over a kill, and take configuration in between', async () => {
      await output('service', 'replace', '--name', 'kept', '--data', 'first');
      assert.deepEqual(await broker.stop('SIGINT'), { code: 0, signal: undefined }, broker.stderr());
      const config = ['configure', '--config', broker.configFile];
      const added = await run([...launcher.bpbroker, ...config], {
        env: cleanEnv(broker.dir),
        cwd: broker.dir,
        input: '{"extra": {"a": 1}}',
      });
      assert.deepEqual([added.code, added.stdout], [0, 'added extra\n'], added.stderr);

      broker = await startBroker(launcher, { dir: broker.dir });
      assert.deepEqual(await output('service', 'get', '--name', 'kept'), [0, 'first\n']);
      await output('service', 'replace', '--name', 'kept', '--data', 'second');
      await broker.kill();
      broker = await startBroker(launcher, { dir: broker.dir });
      assert.deepEqual(await output('service', 'get', '--name', 'kept'), [0, 'second\n']);
      await broker.stop('SIGINT');
    });
  });
}
