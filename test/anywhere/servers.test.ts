import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { findHostNode } from '../../build/node20.ts';
import { tool } from '../../build/root.ts';
import { requests } from './requests.ts';
import { projectOf, served, type ServerProcess, startServer } from './server-process.ts';
import { type Answer, call, type Target } from './target.ts';

interface Server {
  readonly name: string;
  /** Where its program is. */
  readonly folder: string;
  readonly command: readonly string[];
  /** The path that the app is mounted at. */
  readonly mount?: string;
  /** What the server answers at its own root. */
  readonly own?: string;
  readonly packages?: readonly string[];
}

const host = findHostNode();
const servers = 'test/anywhere/servers';
const all: readonly Server[] = [
  { name: 'Bun.serve', folder: servers, command: [tool('bun'), 'bun.mjs'] },
  {
    name: 'Deno.serve',
    folder: servers,
    command: [tool('deno'), 'run', '--allow-net', '--allow-env', '--unstable-no-legacy-abort', 'deno.mjs'],
  },
  { name: 'Node 24 (@hono/node-server)', folder: servers, command: [tool('node'), 'node.mjs'] },
  ...(host
    ? [
        {
          name: `Node ${host.version} (@hono/node-server)`,
          folder: servers,
          command: [host.file, 'node.mjs'],
        },
      ]
    : []),
  {
    name: 'Express',
    folder: 'examples/express',
    command: [tool('node'), 'server.mjs'],
    mount: '/registry',
    own: 'a page of the application\n',
    packages: ['express'],
  },
  {
    name: 'another Hono app, under a prefix',
    folder: servers,
    command: [tool('node'), 'mounted.mjs'],
    mount: '/internal/registry',
    own: 'a page of the application',
  },
];

describe('the app, served by', { concurrency: all.length }, () => {
  for (const { name, folder, command, mount = '', own, packages } of all) {
    describe(name, { concurrency: 1 }, () => {
      let server: ServerProcess;
      let target: Target;
      let longWait: Promise<Answer>;
      before(async () => {
        server = await startServer(projectOf(folder, packages), command);
        target = served(server.origin + mount);
        // Bun closes a connection that has been idle for 10 s, unless it is told not to.
        longWait = call(target, 'Get', { name: 'wait/long', wait: '12s' });
      });
      requests(() => target);

      it('leaves a wait open for longer than the server lets a connection be idle', async () => {
        assert.equal((await longWait).code, 'not_found');
      });

      if (own !== undefined) {
        it('leaves the rest of the server to the application', async () => {
          assert.equal(await (await fetch(server.origin)).text(), own);
          assert.equal((await fetch(`${server.origin}/services/List`)).status, 404);
        });
      }

      it('has said nothing but where it listens', () => {
        assert.equal(server.running.stdout(), `listening on ${server.origin}\n`);
        assert.equal(server.running.stderr(), '');
      });
    });
  }
});
