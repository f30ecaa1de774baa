import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { BrokerClient } from '../../../src/client/client.ts';
import { blocksOf } from '../../support/documents/documents.ts';
import { allCommands } from '../../support/programs/all-commands.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { programFolder } from '../../support/programs/program-folder.ts';
import {
  cleanEnv,
  parseReady,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { commandLanguages } from '../../support/documents/typed-page.ts';
import { waitFor } from '../../support/wait.ts';
import { connectTo, freePort, reference, start, untilLines } from '../support.ts';

/** What an example needs besides a broker that holds the usual entries. An example that needs nothing is not here. */
interface Plan {
  /** It is not run, since it changes this machine: what it would do is shown by its twin with `--dry-run`. */
  readonly changesMachine?: true;
  /** Why it cannot be run here. */
  readonly skip?: string | false;
  /** Command lines that come first. */
  readonly first?: readonly string[];
  /** An entry that must not exist. */
  readonly without?: string;
  /** An entry whose change a command that watches sees. */
  readonly watched?: string;
  /** It runs a broker, until that is ready and is then told to end. */
  readonly isBroker?: true;
  /** It leaves a broker running in the background. */
  readonly isDetached?: true;
  /** A command that watches ends by itself. */
  readonly isLimited?: true;
  /** It reads the machine's own folder in place of the test's. */
  readonly onMachine?: true;
}

const hasManager = ['/run/systemd/system', '/usr/sbin/update-rc.d'].some((file) => existsSync(file));
const noService = process.getuid?.() === 0 && hasManager ? false : 'it needs root and a service manager';

const plans: Readonly<Record<string, Plan>> = {
  start: { isBroker: true },
  'start --detach': { isDetached: true },
  'start --config ./bpbroker.json --listen-port 20444': { isBroker: true },
  backup: { first: ['bpbroker configure --config-file ./more.json'] },
  'backup --config ./bpbroker.json': { first: ['bpbroker configure --config ./bpbroker.json < ./more.json'] },
  'restore --from ./backup.json': {
    first: ['bpbroker configure --config-file ./more.json', 'cp "$(bpbroker backup)" ./backup.json'],
  },
  'migrate --from file --to etcd --endpoint https://10.0.0.1:2379': {
    skip: lacking('etcd'),
    first: ['bpbroker configure --config-file ./more.json'],
  },
  'migrate --from etcd --to file': {
    skip: lacking('etcd'),
    first: [
      'bpbroker configure --config-file ./more.json',
      'bpbroker migrate --from file --to etcd --endpoint https://10.0.0.1:2379 --prefix /back/',
    ],
  },
  'install-service': { changesMachine: true },
  'install-service --dry-run': { skip: noService, onMachine: true },
  'uninstall-service': { changesMachine: true },
  'uninstall-service --dry-run': { skip: noService, onMachine: true },
  'service register --name foo --data bar': { without: 'foo' },
  [`service register --name db --data '{"host": "10.0.0.5", "port": 5432}'`]: { without: 'db' },
  'service watch --prefix web/': { watched: 'web/1' },
  "service watch --name db --initial --exec './reconfigure.sh'": { watched: 'db' },
  'service watch --name db --count 1 --timeout 10m': { watched: 'db', isLimited: true },
  'trust --bpbroker 10.0.0.1 --forget': {
    first: ['bpbroker trust --bpbroker 10.0.0.1 --fingerprint "$FINGERPRINT"'],
  },
};

const examples = new Map(
  allCommands().flatMap(({ program, command }) =>
    (command.examples ?? []).map((line): [string, string] => [`${program} ${line}`, line]),
  ),
);

const files: Readonly<Record<string, string>> = {
  'hello.ts': 'export const Greet = ({ data }: { data: string }): string => `hello, ${data}`;\n',
  'more.json': '{"hello": {}}\n',
  'access.key': `${'k'.repeat(40)}\n`,
  'reconfigure.sh': '#!/bin/sh\ncat > seen\n',
  'deploy.sh': '#!/bin/sh\n',
  agent: '#!/bin/sh\n',
};

/** Programs on the PATH, and a folder with what examples name. */
function workplace(): { readonly bin: string; makeFolder(): string } {
  const bin = programFolder(reference);
  return {
    bin,
    makeFolder() {
      const dir = tempDir();
      for (const [name, text] of Object.entries(files))
        writeFileSync(path.join(dir, name), text, { mode: text.startsWith('#!') ? 0o755 : 0o600 });
      return dir;
    },
  };
}

describe(
  'every example of help works as it is typed',
  { skip: process.platform === 'win32' && 'they are for sh' },
  () => {
    const { bin, makeFolder } = workplace();
    let broker: RunningBroker;
    let client: BrokerClient;
    let etcd: EtcdCluster | undefined;

    before(async () => {
      const dir = tempDir();
      writeExtensions(dir, { 'hello.ts': files['hello.ts'] ?? '' });
      broker = await startBroker(reference, { dir, config: { services: {}, hello: {} } });
      client = await connectTo(broker);
      if (lacking('etcd') === false) etcd = await startEtcd({ members: 1 });
    });

    const envOf = (dir: string, { onMachine }: Plan): Record<string, string> => {
      const env = cleanEnv(dir, {
        PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}`,
        BPBROKER: `127.0.0.1:${broker.port}`,
        FINGERPRINT: broker.fingerprint,
      });
      if (!onMachine) return env;
      const { BPBROKER_HOME: _, ...machine } = env;
      return machine;
    };

    /** With the address of the test's broker, where an example has one with the usual port. */
    const onPort = (typed: string): string => {
      const found = typed
        .replace('https://10.0.0.1:2379', etcd?.endpoints[0] ?? '')
        .replace(/(--bpbroker) (?:127|10)\.0\.0\.1(?= |$)/, `$1 127.0.0.1:${broker.port}`);
      return / discover\b/.test(typed) ? `${found} --port ${broker.udpPort}` : found;
    };

    const prepare = async ({ without }: Plan): Promise<void> => {
      const usual = {
        foo: 'bar',
        db: { host: '10.0.0.5' },
        'web/1': 'x',
        'node/1': 'x',
        'node/2': 'x',
        'node/3': 'x',
      };
      for (const [name, data] of Object.entries(usual)) await client.replace(name, data);
      if (without !== undefined) await client.delete(without);
    };

    const runToEnd = async (line: string, env: Record<string, string>, dir: string): Promise<void> => {
      const { code, stderr } = await run(['sh', '-c', line], { env, cwd: dir });
      assert.equal(code, 0, `${line}: ${stderr}`);
    };

    /** A broker that an example starts is ready, and ends well at its signal. */
    const runBroker = async (line: string, env: Record<string, string>, dir: string): Promise<void> => {
      const typed = line.replace('20444', String(await freePort()));
      const own = { ...env, BPBROKER_LISTEN_IP: '127.0.0.1', BPBROKER_LISTEN_PORT: '0' };
      const running = start(['sh', '-c', `exec ${typed}`], { env: own, cwd: dir });
      await waitFor('the ready line', () => parseReady(running.stderr())).catch((error: unknown) =>
        assert.fail(`${String(error)}: ${running.stderr()}`),
      );
      assert.equal(await running.stop('SIGTERM'), 0, running.stderr());
    };

    /** A broker that an example leaves running is ready by then, and ends at its signal. */
    const runDetached = async (line: string, env: Record<string, string>, dir: string): Promise<void> => {
      const own = { ...env, BPBROKER_LISTEN_IP: '127.0.0.1', BPBROKER_LISTEN_PORT: '0' };
      const { code, stderr } = await run(['sh', '-c', line], { env: own, cwd: dir });
      assert.equal(code, 0, stderr);
      assert.ok(parseReady(stderr), stderr);
      process.kill(Number(/process (\d+)/.exec(stderr)?.[1]), 'SIGTERM');
    };

    /** A watch prints the change that is made while it runs. */
    const runWatch = async (
      line: string,
      { watched: name = '', isLimited }: Plan,
      env: Record<string, string>,
      dir: string,
    ): Promise<void> => {
      const running = start(['sh', '-c', `exec ${line}`], { env, cwd: dir });
      // The watch begins at an unknown revision: changes are made until one of them is seen.
      const over = new AbortController();
      const changes = (async () => {
        while (!over.signal.aborted) await client.replace(name, 'changed');
      })();
      const [first = ''] = await untilLines(running, 1).finally(() => over.abort());
      await changes;
      assert.match(first, /^\{"type": "put", /);
      if (line.includes('reconfigure.sh'))
        await waitFor('the command', () => existsSync(path.join(dir, 'seen')));
      if (isLimited) assert.equal(await running.ended, 0);
      else assert.equal(await running.stop('SIGKILL'), 'SIGKILL');
    };

    for (const [typed, line] of examples) {
      const plan = plans[line] ?? {};
      if (plan.changesMachine) continue;
      it(typed, { skip: plan.skip ?? false }, async () => {
        const dir = makeFolder();
        const env = envOf(dir, plan);
        for (const first of plan.first ?? []) await runToEnd(onPort(first), env, dir);
        await prepare(plan);
        if (plan.isBroker) await runBroker(typed, env, dir);
        else if (plan.isDetached) await runDetached(typed, env, dir);
        else if (plan.watched !== undefined) await runWatch(typed, plan, env, dir);
        else await runToEnd(onPort(typed), env, dir);
      });
    }

    it('and docs/cli.md shows no other commands', () => {
      const shown = blocksOf('docs/cli.md')
        .filter(({ language }) => commandLanguages.has(language))
        .flatMap(({ text }) => text.trimEnd().split('\n'));
      assert.deepEqual(
        shown.filter((line) => !examples.has(line)),
        [],
      );
      assert.ok(shown.length > 50);
    });

    it('but for those that change the machine, which are run with --dry-run', () => {
      const lines = new Set(examples.values());
      const apart = Object.keys(plans).filter((line) => plans[line]?.changesMachine);
      for (const line of apart) assert.ok(lines.has(`${line} --dry-run`), line);
    });

    it('and there is no plan for an example that does not exist', () => {
      const lines = new Set(examples.values());
      assert.deepEqual(
        Object.keys(plans).filter((line) => !lines.has(line)),
        [],
      );
    });
  },
);
