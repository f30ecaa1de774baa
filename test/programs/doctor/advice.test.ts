import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { cleanEnv, run, type RunResult, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { freePort, reference } from '../support.ts';

const onLinux = process.platform === 'linux' ? false : 'only Linux has all of 127.0.0.0/8';
const services = { "it's": { _str: 'x' }, foo: { _str: 'x' } };
const wrong = `sha256:${'0'.repeat(64)}`;

describe('every command that a message advises', { skip: onLinux }, () => {
  for (const program of ['bpbroker', 'bpclient'] as const) {
    it(`works when it is typed, as one of ${program}`, async () => {
      const home = tempDir();
      const weak = path.join(home, 'weak');
      writeFileSync(weak, 'secret');
      const port = await freePort();
      const one = await startBroker(reference, {
        args: ['--listen-ip', '127.0.0.1'],
        config: { api: { listen_port: port }, services },
      });
      const more = { args: ['--listen-ip', '127.0.0.2'], config: { api: { listen_port: port }, services } };
      const other = await startBroker(reference, more);
      const find = ['--port', String(port)];
      const type = (command: string): Promise<RunResult> => {
        // As a user would have them on the PATH.
        const functions = (['bpbroker', 'bpclient'] as const).map(
          (name) => `${name}() { ${reference[name].map((word) => `'${word}'`).join(' ')} "$@"; }`,
        );
        return run(['sh', '-c', `${functions.join('\n')}\n${command}`], { cwd: home, env: cleanEnv(home) });
      };
      const quoted = (args: readonly string[]): string =>
        args.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
      const advised: string[] = [];
      /**
       * What the message of a command that fails advises. It is typed until it fails so, because one of several
       * brokers that a busy machine stops for a moment is not heard.
       */
      const adviceOf = async (code: number, ...args: readonly string[]): Promise<string> => {
        const { stderr } = await waitFor(`${quoted(args)} to end with ${code}`, async () => {
          const result = await type(`${program} ${quoted(args)}`);
          assert.equal(result.code, code, result.stderr);
          return result;
        });
        const [, command = ''] =
          /\b((?:bpbroker|bpclient) (?:[a-z]+(?: [^\n]*)?[^\n']|keygen))'?\n$/.exec(stderr) ?? [];
        assert.notEqual(command, '', stderr);
        advised.push(command);
        return command;
      };
      /** Runs what a message advises, which must do what it says. */
      const follow = async (command: string): Promise<string> => {
        const { code, stdout, stderr } = await type(command);
        assert.equal(code, 0, `${command}: ${stderr}`);
        return stdout;
      };
      /** The same, until it has heard both brokers. */
      const findsBoth = (command: string): Promise<true> =>
        waitFor('both brokers', async () => {
          assert.match(await follow(command), /^127\.0\.0\.[12]:\d+\n127\.0\.0\.[12]:\d+\n$/);
          return true as const;
        });
      const get = ['service', 'get', '--name'];

      // Several brokers.
      for (const args of [
        [...get, 'foo'],
        [...get, "it's"],
        ['ping'],
        ['service', 'delete', '--name', 'none'],
      ])
        await findsBoth(await adviceOf(7, ...args, ...find));

      // The same where they were found by targets, or with a key.
      const ips = ['127.0.0.1', '127.0.0.2'];
      const targets = ips.flatMap((ip) => ['--target', `${ip}:${port}`]);
      await findsBoth(await adviceOf(7, ...targets, ...get, 'foo'));
      const key = randomBytes(32).toString('hex');
      const keyFile = path.join(home, 'key');
      writeFileSync(keyFile, key);
      const keyed = { api: { listen_port: await freePort() }, discover: { _access_key: key }, services };
      const two = ips.map((ip) => startBroker(reference, { args: ['--listen-ip', ip], config: keyed }));
      const findKeyed = ['--port', String(keyed.api.listen_port), '--discover-key-file', keyFile];
      const running = await Promise.all(two);
      await findsBoth(await adviceOf(7, ...get, 'foo', ...findKeyed));
      for (const broker of running) await broker.kill();

      // Another identity than is kept for the address, for the name, for both.
      const at = ['-b', `127.0.0.1:${port}`];
      await follow(`${program} trust ${quoted([...at, '--fingerprint', wrong])}`);
      await follow(await adviceOf(8, ...at, 'ping'));
      assert.equal(await follow(`${program} ${quoted([...at, 'ping', '--data', 'hi'])}`), 'hi\n');
      await other.kill();
      for (const name of ['foo', "it's"]) {
        await follow(`${program} trust ${quoted(['--name', name, '--fingerprint', wrong])}`);
        for (const args of [get, ['discover', '--name']]) await adviceOf(8, ...args, name, ...find);
        await follow(await adviceOf(8, ...get, name, ...find));
        assert.equal(await follow(`${program} ${quoted([...get, name, ...find])}`), 'x\n');
      }
      await one.kill();

      // A discovery key that is weak.
      const keygen = await adviceOf(2, ...at, '--discover-key-file', weak, 'ping');
      assert.match(await follow(keygen), /^[0-9a-f]{64}\n$/);

      // Only the broker's program makes keys.
      const named = advised.map((command) => command.split(' ')[0]);
      assert.deepEqual([...new Set(named.slice(0, -1))], [program]);
      assert.equal(named.at(-1), 'bpbroker');
    });
  }
});

describe('what a search advises', { skip: onLinux }, () => {
  it('is only options that discover takes, and the port that was asked', async () => {
    const home = tempDir();
    const env = cleanEnv(home);
    const discover = (...args: string[]): Promise<RunResult> =>
      run([...reference.bpclient, 'discover', ...args], { cwd: home, env });
    const { stdout: help } = await discover('--help');
    /** The message, once it has been made sure that the options in it are options of the command. */
    const messageOf = async (code: number, ...args: string[]): Promise<string> => {
      const { code: ended, stderr } = await discover(...args, '--timeout', '1s');
      assert.equal(ended, code, stderr);
      const options = stderr.match(/--[a-z-]+/g) ?? [];
      assert.notEqual(options.length, 0, stderr);
      for (const option of options) assert.match(help, new RegExp(`^ .*${option}\\b`, 'm'), stderr);
      return stderr;
    };
    const port = await freePort();
    const find = ['--port', String(port)];
    for (const args of [[], ['--wait'], ['--name', 'nope']]) {
      const silent = await messageOf(args[0] === '--wait' ? 9 : 6, ...args, ...find);
      assert.match(silent, new RegExp(`\\(asked on 1 interface \\(lo\\), UDP port ${port}\\)`));
      assert.match(silent, /ask it with --target, or leave --port out \(the usual port is 20443\)/);
    }
    const config = { api: { listen_port: port }, services };
    const brokers = await Promise.all(
      ['127.0.0.1', '127.0.0.2'].map((ip) => startBroker(reference, { args: ['--listen-ip', ip], config })),
    );
    // A broker that a busy machine stops for a moment is not heard: each is tried until both are.
    await waitFor('a search that finds both', () => messageOf(7, '--name', 'foo', ...find));
    // Other commands can name the broker.
    const get = ['service', 'get', '--name', 'foo', ...find];
    await waitFor('a command that finds both', async () => {
      const { stderr } = await run([...reference.bpclient, ...get], { cwd: home, env });
      assert.match(stderr, /Choose one with --bpbroker, register a name/);
      return true;
    });
    for (const broker of brokers) await broker.kill();
  });
});

describe('trust by name', () => {
  it('lists, keeps and forgets; names follow their broker to its new identity', async () => {
    const home = tempDir();
    const broker = await startBroker(reference, { config: { services } });
    const client = (...args: string[]): Promise<RunResult> => broker.client(args, { home, address: false });
    const prints = async (stdout: string, ...args: string[]): Promise<void> => {
      const result = await client(...args);
      assert.deepEqual([result.code, result.stdout], [0, stdout], result.stderr);
    };
    const find = ['--port', String(broker.udpPort)];
    const place = `127.0.0.1:${broker.port}`;
    const get = ['service', 'get', '--name', 'foo', ...find];
    await prints('x\n', ...get);
    await prints(`${place} ${broker.fingerprint}\nname=foo ${broker.fingerprint}\n`, 'trust');
    await prints(`name=foo ${broker.fingerprint}\n`, 'trust', '--name', 'foo');
    // The variable of other commands changes nothing.
    const env = { BPBROKER_FINGERPRINT: wrong, BPBROKER: '10.0.0.1' };
    const listed = await broker.client(['trust', '--name', 'foo'], { home, address: false, env });
    assert.equal(listed.stdout, `name=foo ${broker.fingerprint}\n`);
    await prints(`${place} ${wrong}\nname=foo ${wrong}\n`, 'trust', '-b', place, '--fingerprint', wrong);
    assert.equal((await client(...get)).code, 8);
    await prints('', 'trust', '-b', place, '--forget');
    await prints('', 'trust');
    await prints('x\n', ...get);
    await prints('', 'trust', '--name', 'foo', '--forget');
    await prints(`${place} ${broker.fingerprint}\n`, 'trust');
    assert.equal((await client('trust', '--name', 'foo', '--forget')).code, 3);
    assert.equal((await client('trust', '--forget')).code, 2);
    await broker.kill();
  });

  it('help describes its own options, and no variable that it does not heed', async () => {
    const { stdout } = await run([...reference.bpclient, 'trust', '--help']);
    assert.doesNotMatch(stdout, /found on the network|BPBROKER_|only identity to accept|time to take/);
    assert.match(stdout, /default: list all/);
  });
});
