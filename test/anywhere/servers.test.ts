import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { findHostNode } from '../../build/test/node20.ts';
import { root, tool } from '../../build/root.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { run } from '../support/programs/run.ts';
import { requests } from './requests.ts';
import { projectOf, served, serverEnv, type ServerProcess, startServer } from './server-process.ts';
import { type Answer, answerOf, KEY, type Target } from './target.ts';

interface Server {
  readonly name: string;
  /** Where its program is. */
  readonly folder: string;
  /** What is typed to start it. */
  readonly command: string;
  /** What runs it; default: the first word's tool. */
  readonly runtime?: string;
  /** The path that the app is mounted at. */
  readonly mount?: string;
  /** What the server answers at its own root. */
  readonly own?: string;
  readonly packages?: readonly string[];
  readonly skip?: string | false;
}

const host = findHostNode();
const folder = 'test/anywhere/servers';
const all: readonly Server[] = [
  { name: 'Bun.serve', folder, command: 'bun bun.mjs' },
  {
    name: 'Deno.serve',
    folder,
    command: 'deno run --allow-net --allow-env --unstable-no-legacy-abort deno.mjs',
  },
  { name: 'Node 24, @hono/node-server', folder, command: 'node node.mjs' },
  {
    name: `this machine's Node ${host?.version ?? ''}, @hono/node-server`,
    folder,
    command: 'node node.mjs',
    runtime: host?.file ?? 'node',
    skip: host ? false : 'no Node on the PATH outside node_modules',
  },
  {
    name: 'Express',
    folder: 'examples/express',
    command: 'node server.mjs',
    mount: '/registry',
    own: 'a page of the application\n',
    packages: ['express'],
  },
  {
    name: 'another Hono app, under a path',
    folder,
    command: 'node mounted.mjs',
    mount: '/internal/registry',
    own: 'a page of the application',
  },
];

describe('the app, served by', { concurrency: all.length }, () => {
  for (const each of all) {
    const { mount = '', own, skip = false } = each;
    const [program = '', ...args] = each.command.split(' ');
    const command = [each.runtime ?? tool(program as 'node'), ...args];
    describe(each.name, { concurrency: 1, skip }, () => {
      let dir: string;
      let server: ServerProcess;
      let target: Target;
      let longWait: Promise<Answer | Error>;
      before(async () => {
        dir = projectOf(each.folder, each.packages);
        server = await startServer(dir, command);
        target = served(server.origin + mount);
        // Bun cuts a GET after some 12 s without a byte, unless an option forbids it.
        longWait = target
          .fetch(`/services/Get?name=wait/long&wait=14s&access_key=${KEY}`)
          .then(answerOf, (error: Error) => error);
      });
      requests(() => target);

      it('leaves a wait open for longer than the server lets a connection be idle', async () => {
        const answer = await longWait;
        if (answer instanceof Error) throw answer;
        assert.equal(answer.code, 'not_found');
      });

      if (own !== undefined) {
        it('leaves the rest of the server to the application', async () => {
          assert.equal(await (await fetch(server.origin)).text(), own);
          assert.equal((await fetch(`${server.origin}/services/List`)).status, 404);
        });
      }

      it('serves nothing without its access key', async () => {
        const { ACCESS_KEY: _key, ...env } = serverEnv(dir);
        const { code, stdout, stderr } = await run(command, { cwd: dir, env });
        assert.notEqual(code, 0);
        assert.equal(stdout, '');
        assert.match(stderr, /services\._access_key/);
      });

      it('has said nothing but where it listens', () => {
        assert.equal(server.running.stdout(), `listening on ${server.origin}\n`);
        assert.equal(server.running.stderr(), '');
      });
    });
  }
});

describe('docs/runtimes.md', () => {
  const blocks = blocksOf('docs/runtimes.md');

  it('shows every program as it is run here', () => {
    const shown = blocks.filter(({ language }) => language === 'js');
    const files = readdirSync(path.join(root, folder));
    assert.deepEqual(shown.map(({ title }) => title).toSorted(), files.toSorted());
    for (const { title, text } of shown)
      assert.equal(text, readFileSync(path.join(root, folder, title), 'utf8'), title);
  });

  it('starts them as they are started here', () => {
    const typed = blocks
      .filter(({ language, mark }) => language === 'shell' && mark === '')
      .map(({ text }) => text.trim());
    const started = all.filter((each) => each.folder === folder).map(({ command }) => command);
    assert.deepEqual(typed.toSorted(), [...new Set(started)].toSorted());
  });
});
