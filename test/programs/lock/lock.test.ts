import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerClient } from '../../../src/client/client.ts';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { sendRaw } from '../../support/network/raw.ts';
import { waitFor } from '../../support/wait.ts';
import { noShell, startLock } from './lock-support.ts';
import { connectTo, freePort, reference, type Running, skipOf } from '../support.ts';

const sh = (script: string, ...args: string[]): string[] => ['sh', '-c', script, 'sh', ...args];

let broker: RunningBroker;
let client: BrokerClient;
before(async () => {
  broker = await startBroker(reference);
  client = await connectTo(broker);
});

for (const launcher of launchers) {
  describe(`lock on ${launcher.name}`, { skip: skipOf(launcher) || noShell, concurrency: 2 }, () => {
    const lockName = (what: string): string => `${launcher.name}/${what}`;
    const lock = (
      name: string,
      command: readonly string[],
      options: readonly string[] = [],
      env: Readonly<Record<string, string>> = {},
    ): Running => startLock(launcher, broker, ['--name', lockName(name), ...options], command, env);

    it('exits as its command does, to the number, and is free again each time', async () => {
      for (const [script, expected] of [
        ['exit 0', 0],
        ['exit 1', 1],
        ['exit 42', 42],
        ['exit 130', 130],
        ['exit 137', 137],
        ['exit 143', 143],
        ['kill -INT $$', 130],
        ['kill -KILL $$', 137],
        ['kill -TERM $$', 143],
      ] as const) {
        const running = lock('codes', sh(script));
        assert.equal(await running.ended, expected, `${script}: ${running.stderr()}`);
        assert.equal((await client.list(lockName('codes'))).entries.length, 0);
      }
    });

    it('exits with 127 for a command that is not there, 126 for one that cannot be run, and is free', async () => {
      const file = path.join(tempDir(), 'file');
      writeFileSync(file, 'no program', { mode: 0o644 });
      const circle = path.join(tempDir(), 'circle');
      symlinkSync('circle', circle);
      for (const [command, expected, why] of [
        ['no-such-command', 127, 'there is no such command; check its name, and the folders of PATH'],
        ['./no-such-command', 127, 'there is no such command; check its path'],
        [file, 126, 'it is not executable; give a program'],
        [path.dirname(file), 126, 'it is a folder; give a program'],
        [
          `${circle}/echo`,
          126,
          'its symbolic links lead in a circle: check them, or give the path of the file itself [ELOOP]',
        ],
      ] as const) {
        const running = lock('cannot', [command]);
        assert.equal(await running.ended, expected);
        // A first contact may have a line before it.
        const [told] = running.stderr().trimEnd().split('\n').slice(-1);
        assert.equal(told, `Fatal error: Cannot run '${command}': ${why}`);
        assert.equal((await client.list(lockName('cannot'))).entries.length, 0);
      }
    });

    it('runs what a shell would find: behind a folder of PATH that cannot be entered, and without PATH', async () => {
      const circle = path.join(tempDir(), 'circle');
      symlinkSync('circle', circle);
      const behind = lock('behind', ['echo', 'found'], [], { PATH: `${circle}:/usr/bin:/bin` });
      assert.equal(await behind.ended, 0, behind.stderr());
      assert.equal(behind.stdout(), 'found\n');
      // Where there is no PATH, Deno makes one of a folder of its own alone.
      if (launcher.name === 'deno') return;
      const bare = { ...launcher, bpclient: ['env', '-u', 'PATH', ...launcher.bpclient] };
      const without = startLock(bare, broker, ['--name', lockName('without')], ['echo', 'found']);
      assert.equal(await without.ended, 0, without.stderr());
      assert.equal(without.stdout(), 'found\n');
    });

    it('exists as long as its command runs, with its data, lifetime and revision', async () => {
      const fifo = path.join(tempDir(), 'fifo');
      const script = `mkfifo ${fifo}; echo "$BPBROKER_LOCK_NAME $BPBROKER_LOCK_REVISION"; echo to stderr >&2; read line <${fifo}; echo "$line"`;
      const running = lock('data', sh(script), ['--data', '{"a": 1}', '--ttl', '7s']);
      const { data, revision } = await client.waitFor(lockName('data'), { timeoutMs: 20_000 });
      assert.deepEqual(data, { a: 1 });
      await waitFor('its output', () => running.stdout().includes('\n'));
      writeFileSync(fifo, 'said\n');
      assert.equal(await running.ended, 0);
      assert.equal(running.stdout(), `${lockName('data')} ${revision}\nsaid\n`);
      assert.match(running.stderr(), /^to stderr$/m);
      await assert.rejects(client.get(lockName('data')), { code: 'not_found' });
    });

    it('takes what follows -- as it is, and hands on the environment, odd names too', async () => {
      const words = ['--name', '-x', '--', '$HOME', 'a  b', "it's", ''];
      const printing = lock('words', ['printf', '<%s>', ...words]);
      assert.equal(await printing.ended, 0, printing.stderr());
      assert.equal(printing.stdout(), words.map((word) => `<${word}>`).join(''));
      // A shell, as which the command begins, would drop these.
      const env = { 'odd.name': 'kept', 'odd-too': 'a\nb', PLAIN: 'p' };
      const running = lock('words', ['env'], [], env);
      assert.equal(await running.ended, 0, running.stderr());
      for (const variable of ['odd.name=kept', 'odd-too=a\nb', 'PLAIN=p'])
        assert.ok(running.stdout().includes(`\n${variable}\n`), running.stdout());
    });

    it('is refused with exit code 4 while another holds it, and with --wait comes in the order of asking', async () => {
      const own = await startBroker(reference);
      const ask = (command: readonly string[], ...options: string[]): Running =>
        startLock(launcher, own, ['--name', lockName('turn'), ...options], command);
      const out = path.join(tempDir(), 'out');
      writeFileSync(out, '');
      const fifo = `${out}.fifo`;
      execFileSync('mkfifo', [fifo]);
      const first = ask(sh('echo first; read x <"$1"; exit 0', fifo));
      await waitFor('the first', () => first.stdout() === 'first\n');
      const refused = ask(['echo', 'no']);
      assert.equal(await refused.ended, 4);
      assert.equal(
        refused.stderr().split('\n').at(-2),
        `Fatal error: Lock '${lockName('turn')}' is held by another`,
      );
      assert.equal(refused.stdout(), '');
      const late = ask(['echo', 'no'], '--wait', '--timeout', '5s');
      assert.equal(await late.ended, 9);
      assert.match(late.stderr(), /Fatal error: Gave up waiting for '.*turn' to be free after /);
      await untilWaiting(own, 0);
      const others: Running[] = [];
      for (const n of [1, 2, 3]) {
        others.push(ask(sh(`echo ${n} >>${out}`), '--wait', '--timeout', '1m'));
        await untilWaiting(own, n);
      }
      writeFileSync(fifo, 'go\n');
      for (const other of others) assert.equal(await other.ended, 0, other.stderr());
      assert.equal(await first.ended, 0);
      assert.equal(readFileSync(out, 'utf8'), '1\n2\n3\n');
      await own.kill();
    });

    it('makes writes conditional on it: --if-locked', async () => {
      const bp = launcher.bpclient.map((word) => `'${word}'`).join(' ');
      const write = (what: string): string =>
        `${bp} --bpbroker 127.0.0.1:${broker.port} service ${what} --if-locked; echo $?;`;
      const foo = lockName('foo');
      const script =
        write(`replace --name ${foo} --data 1`) +
        write(`update --name ${foo} --data 2`) +
        write(`register --name ${foo}2 --data 3`) +
        write(`delete --name ${foo}2`) +
        'BPBROKER_LOCK_REVISION=1;' +
        write(`replace --name ${foo} --data 4`) +
        write(`delete --name ${foo}`) +
        'unset BPBROKER_LOCK_NAME;' +
        write(`delete --name ${foo}`);
      const running = lock('fence', sh(script));
      assert.equal(await running.ended, 0);
      assert.equal(running.stdout(), '1\n0\n2\n0\n3\n0\n0\n4\n4\n2\n');
      assert.match(
        running.stderr(),
        /Lock '.*fence' is no longer held at revision 1: its entry is at revision \d+/,
      );
      assert.match(running.stderr(), /--if-locked needs the variable BPBROKER_LOCK_NAME/);
      assert.equal((await client.get(foo)).data, '2');
    });

    it('says what is wrong with how it is called', async () => {
      for (const [args, message] of [
        [['--name', 'x'], /Command 'lock' needs a command to run: -- CMD…/],
        [
          ['--name', 'x', 'true'],
          /Unexpected argument 'true' after 'lock'; the command to run comes after --/,
        ],
        [['--', 'true'], /Command 'lock' needs --name/],
        [
          ['--name', 'x', '--ttl', '10ms', '--', 'true'],
          /^Fatal error: Invalid --ttl '10ms': expected 1s or more\n$/,
        ],
      ] as const) {
        const { code, stderr } = await broker.client(['lock', ...args]);
        assert.equal(code, 2, stderr);
        assert.match(stderr, message);
      }
    });

    it('stops asking on SIGINT, and leaves nobody with the lock', async () => {
      const own = await startBroker(reference);
      const holder = await connectTo(own);
      await holder.register('x', 'held');
      const running = startLock(launcher, own, ['--name', 'x', '--wait'], ['echo', 'no']);
      await untilWaiting(own, 1);
      assert.equal(await running.stop('SIGINT'), 'SIGINT');
      await holder.delete('x');
      assert.equal((await holder.list('x')).entries.length, 0);
      await own.kill();
    });

    it('--wait waits for its broker too, and holds the lock over a restart of it', async () => {
      const dir = tempDir();
      const port = await freePort();
      const go = path.join(dir, 'go');
      const script = `while [ ! -e ${go} ]; do sleep 0.05; done; exit 7`;
      const at = { dir, port };
      const running = startLock(
        launcher,
        at,
        ['--name', 'x', '--wait', '--ttl', '20s', '--verbose'],
        sh(script),
      );
      const config = { api: { listen_port: port } };
      let own = await startBroker(reference, { dir, config });
      const { revision } = await (await connectTo(own)).waitFor('x', { timeoutMs: 20_000 });
      for (const how of ['stop', 'kill'] as const) {
        await own[how]();
        own = await startBroker(reference, { dir });
        assert.equal((await (await connectTo(own)).get('x')).revision, revision);
      }
      const renewed = await connectTo(own);
      const left = async (): Promise<number> => {
        type Answer = { expires_in: number };
        return (await renewed.call<Answer>('services', 'Get', { name: 'x' })).expires_in;
      };
      let last = await left();
      await waitFor('a renewal', async () => {
        const earlier = last;
        last = await left();
        return last > earlier;
      });
      assert.equal((await renewed.get('x')).revision, revision);
      // Longer than its lifetime: only renewals keep it there. That takes long, so it is done on one launcher.
      const until = performance.now() + (launcher.name === reference.name ? 21_000 : 0);
      while (performance.now() < until) {
        assert.equal((await renewed.get('x')).revision, revision);
        await sleep(200);
      }
      writeFileSync(go, '');
      assert.equal(await running.ended, 7, running.stderr());
      await assert.rejects(renewed.get('x'), { code: 'not_found' });
      await own.kill();
    });
  });
}

/** Until so many clients wait at a broker, by its own count: a request has its place in the order only then. */
async function untilWaiting({ port }: RunningBroker, clients: number): Promise<void> {
  const line = new RegExp(`^bpbroker_waiting_clients ${clients}\\r?$`, 'm');
  await waitFor(`${clients} clients to wait`, async () => {
    const { text } = await sendRaw(port, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', { responses: 1 });
    return line.test(text);
  });
}
