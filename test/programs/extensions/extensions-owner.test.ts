import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import { writeExtensions } from '../../support/registry/extensions.ts';
import {
  type Launcher,
  launchers,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, skipOf } from '../support.ts';

const script = `
import { writeFileSync } from 'node:fs';
export const Make = ({ data }) => { writeFileSync(data, ''); return 'made'; };
`;
const python = `
import helper, pack.part
def Who(rh):
    rh.content_type = "text/plain"
    rh.data = helper.who + " " + pack.part.who
def Stray(rh):
    import stray
    rh.data = stray.who
def Make(rh):
    open(rh.qs["data"], "w").close()
    rh.data = "made"
def Print(rh):
    print("日本 \\udc80")
    rh.content_type = "text/plain"
    rh.data = "日本"
`;
const program = `#!/usr/bin/env python3
import json, sys
request = json.load(sys.stdin)
if sys.argv[1] == "Make": open(request["data"], "w").close()
print("日本")
`;
const files = {
  'script.mjs': script,
  'snake.py': python,
  'helper.py': 'who = "helper"\n',
  'pack/__init__.py': '',
  'pack/part.py': 'who = "part"\n',
  program,
};
const locale = { LANG: 'C', LC_ALL: 'C', PYTHONIOENCODING: 'latin-1', PYTHONUTF8: '0' };
const posix = process.platform === 'win32' && 'modes are POSIX';
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** A broker with these extensions, started under a umask. */
async function brokerUnder(umask: string, { bpbroker, bpclient }: Launcher): Promise<RunningBroker> {
  const dir = tempDir();
  writeExtensions(dir, files);
  const command = ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh', ...bpbroker];
  const config = { script: {}, snake: {}, program: {} };
  return startBroker({ bpbroker: command, bpclient }, { dir, config, env: locale });
}

for (const launcher of launchers) {
  describe(`row "what an extension loads", on ${launcher.name}`, { skip: skipOf(launcher) || posix }, () => {
    let broker: RunningBroker;
    let client: BrokerClient;
    const lib = (file = ''): string => path.join(broker.dir, 'bpbroker', 'lib', file);
    const call = async (method: string, data?: string): Promise<string> =>
      (await client.execute(method, data === undefined ? {} : { data })).text();

    before(async () => {
      broker = await brokerUnder('000', launcher);
      client = await connectTo(broker);
    });
    after(() => broker.kill());

    it('is what its owner wrote: byte code beside it is neither read nor written', async () => {
      const caches = [lib('__pycache__'), lib('pack/__pycache__')];
      for (const file of ['helper.py', 'pack/part.py']) await plant(lib(file), 'who = "planted"\n');
      await plant(lib('stray.py'), 'who = "planted"\n', lib('stray.pyc'));
      const before_ = caches.map((folder) => readdirSync(folder));
      assert.equal(await call('snake.Who'), 'helper part');
      await assert.rejects(call('snake.Stray'), /No module named 'stray'/);
      assert.deepEqual(
        caches.map((folder) => readdirSync(folder)),
        before_,
      );
      assert.ok(!before_.flat().some((name) => name.startsWith('snake')));
    });

    for (const [what, file, bits] of [
      ['a helper', 'helper.py', 0o666],
      ['a package', 'pack', 0o777],
      ['a part of a package', 'pack/part.py', 0o664],
      ['byte code', 'pack/__pycache__', 0o777],
      ['a package of JavaScript', 'node_modules/left/index.js', 0o622],
    ] as const) {
      it(`is not run while others may write ${what}`, async () => {
        if (!existsSync(lib(file))) {
          mkdirSync(path.dirname(lib(file)), { recursive: true });
          if (file.includes('__')) mkdirSync(lib(file), { recursive: true });
          else writeFileSync(lib(file), '');
        }
        const own = statSync(lib(file)).mode & 0o755;
        const refused = new RegExp(
          `^Extension 'snake' is not run: ${file}, which it may load, can be written by others \\(mode ${bits.toString(8)}\\)`,
        );
        chmodSync(lib(file), bits);
        await waitFor('the refusal', async () => {
          const message = await call('snake.Who').catch((error: Error) => error.message);
          return refused.test(message);
        });
        chmodSync(lib(file), own);
        assert.equal(await call('snake.Who'), 'helper part');
      });
    }

    it('leaves nothing that others may write, whatever the umask of its broker', async () => {
      for (const module of ['script', 'snake', 'program']) {
        const file = path.join(broker.dir, `made by ${module}`);
        await call(`${module}.Make`, file);
        assert.equal(mode(file), '644', module);
      }
      const narrow = await brokerUnder('077', launcher);
      const other = await connectTo(narrow);
      for (const module of ['script', 'snake', 'program']) {
        const file = path.join(narrow.dir, `made by ${module}`);
        await (await other.execute(`${module}.Make`, { data: file })).text();
        assert.equal(mode(file), '600', module);
      }
      await narrow.kill();
      assert.equal(/^Umask:\s*(\d+)$/m.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))?.[1], '0000');
    });

    it('speaks UTF-8, whatever the locale', async () => {
      assert.equal(await call('snake.Print'), '日本');
      await waitFor('the log', () => broker.stderr().includes('日本 '));
      assert.equal(await call('program.Print', 'x'), '日本\n');
    });
  });
}

/** Puts byte code of another source where Python would take it for that of `file`, whatever the times of the two. */
async function plant(file: string, source: string, at?: string): Promise<void> {
  const evil = path.join(tempDir(), path.basename(file));
  writeFileSync(evil, source);
  const code = `
import importlib.util, os, py_compile, sys
evil, file, at = sys.argv[1:]
at = at or importlib.util.cache_from_source(file)
os.makedirs(os.path.dirname(at), exist_ok=True)
py_compile.compile(evil, at, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
`;
  const { code: exit, stderr } = await run(['python3', '-c', code, evil, file, at ?? '']);
  assert.equal(exit, 0, stderr);
}
