import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
  cleanEnv,
} from '../../support/programs/programs.ts';
import { connect } from '../../../src/client/client.ts';
import { openKnownBrokers } from '../../../src/client/trust/known-brokers.ts';
import { nameKey } from '../../../src/client/trust/name-key.ts';
import { atEnd } from '../../support/cleanup.ts';
import { joinSockets } from '../../support/network/join-sockets.ts';
import { waitFor } from '../../support/wait.ts';
import { reference, skipOf } from '../support.ts';
import { homeWith, other } from './known-brokers-support.ts';

/** Row "known_brokers" of the security page: what cannot be read is not absent. */

const posix = process.platform === 'win32' ? 'Windows has no sh' : false;

let broker: RunningBroker;
before(async () => {
  broker = await startBroker(reference);
});

/** What a person may put before a fingerprint, and is no address. */
const strange: Readonly<Record<string, (place: string) => string>> = {
  'a comma after an address': (place) => `${place},`,
  'a colon after an address': (place) => `${place}:`,
  'two addresses at once': (place) => `localhost:1,${place}`,
  'a URL': (place) => `https://${place}`,
  'a space before the port': (place) => place.replace(':', ' '),
  'a space before its colon': (place) => place.replace(':', ' :'),
  'a name with a space': () => 'name=my db',
  'a name whose escape is damaged': () => 'name=50%',
};

/** Holds connections to a port until it is released. */
async function holdingRelay(to: number): Promise<{
  readonly place: string;
  /** How many connections have sent something so far. */
  held(): number;
  /** Passes them on, and all later ones; returns how many there were. */
  release(): number;
}> {
  let held = 0;
  let isOpen = false;
  const waiting: (() => void)[] = [];
  const server = createServer((incoming) => {
    incoming.on('error', () => undefined);
    incoming.once('readable', () => {
      // Its end makes a connection readable too.
      if (incoming.readableLength === 0) return;
      held += 1;
      const pass = (): void => joinSockets(incoming, connectTcp(to, '127.0.0.1'));
      if (isOpen) pass();
      else waiting.push(pass);
    });
  }).listen(0, '127.0.0.1');
  atEnd(() => server.close());
  await once(server, 'listening');
  return {
    place: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => held,
    release() {
      isOpen = true;
      for (const pass of waiting) pass();
      return held;
    },
  };
}

describe('a first contact with a broker that was found by a name', () => {
  it('leaves what was kept meanwhile for the name or the address', async () => {
    for (const key of ['name', 'address']) {
      const relay = await holdingRelay(broker.port);
      const { file } = homeWith('');
      const known = openKnownBrokers(file);
      const connecting = connect({ broker: relay.place, foundBy: 'web', knownBrokers: file });
      await waitFor('its handshake', () => relay.held() > 0);
      known.set(key === 'name' ? nameKey('web') : relay.place, { fingerprint: '0'.repeat(64) });
      const kept = readFileSync(file, 'utf8');
      relay.release();
      await assert.rejects(connecting, { code: 'identity_mismatch', message: /answers for 'web'/ });
      assert.equal(readFileSync(file, 'utf8'), kept, key);
    }
  });

  it('is at peace with another one that kept the same', async () => {
    const relay = await holdingRelay(broker.port);
    const { file } = homeWith('');
    const notes: string[] = [];
    const notify = (line: string): void => void notes.push(line);
    const both = [1, 2].map(() =>
      connect({ broker: relay.place, foundBy: 'web', knownBrokers: file, notify }),
    );
    await waitFor('their handshakes', () => relay.held() === 2);
    relay.release();
    for (const client of await Promise.all(both)) client.close();
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 3);
    assert.equal(notes.length, 1, notes.join('\n'));
  });
});

for (const launcher of launchers) {
  const { name, bpclient, bpbroker } = launcher;
  const ping = (home: string, at = '127.0.0.1', ...args: string[]): Promise<RunResult> =>
    run([...bpclient, '--bpbroker', `${at}:${broker.port}`, 'ping', '--data', 'x', ...args], {
      env: cleanEnv(home),
      cwd: home,
    });
  const trust = (home: string, ...args: string[]): Promise<RunResult> =>
    run([...bpbroker, 'trust', '--timeout', '300ms', ...args], { env: cleanEnv(home), cwd: home });

  describe(`known_brokers on ${name}`, { skip: skipOf(launcher) }, () => {
    const written: Readonly<Record<string, (place: string, id: string) => string>> = {
      'line ends of Windows': (place, id) => `# mine\r\n\r\n${place} ${id}\r\n`,
      'a byte order mark': (place, id) => `\uFEFF${place} ${id}\n`,
      'upper case, tabs and colons': (place, id) =>
        ` ${place}\tSHA256:${(id.slice(7).match(/../g) ?? []).join(':').toUpperCase()} \n`,
      'no newline at its end': (place, id) => `10.0.0.1:20443 ${other}\n${place} ${id}`,
      'a certificate that is cut short': (place, id) => `${place} ${id} MIIBszCCAVmgAwIB\n`,
      'a line of another broker that is of a newer form': (place, id) =>
        `10.0.0.1:20443 sha512:abc\n${place} ${id}\n`,
      'an unreadable line before a newer one': (place, id) => `${place} sha256:12\n${place} ${id}\n`,
      'another spelling': (place, id) => `[::FFFF:127.0.0.1]:${place.split(':')[1]} ${id}\n`,
      'an unreadable line that may be about it, before its own': (place, id) => `????\n${place} ${id}\n`,
    };
    for (const [what, make] of Object.entries(written)) {
      it(`row "known_brokers": reads ${what}`, async () => {
        const place = `127.0.0.1:${broker.port}`;
        const right = await ping(homeWith(make(place, broker.fingerprint)).home);
        assert.deepEqual([right.code, right.stdout, right.stderr], [0, 'x\n', '']);
        const wrong = await ping(homeWith(make(place, other)).home);
        assert.deepEqual([wrong.code, wrong.stdout], [8, ''], wrong.stderr);
        assert.ok(wrong.stderr.includes(other), wrong.stderr);
      });
    }

    const unreadable: Readonly<
      Record<string, (place: string) => { content: string | Uint8Array; line: number }>
    > = {
      'a fingerprint that is cut short': (place) => ({ content: `${place} sha256:12ab`, line: 1 }),
      'a line of which nothing is known': () => ({ content: `# a\n????\n`, line: 2 }),
      'two lines in one': (place) => ({
        content: `10.0.0.1:1 ${other}${place} ${broker.fingerprint}\n`,
        line: 1,
      }),
      'two lines in one, with a certificate': (place) => ({
        content: `10.0.0.1:1 ${other} MIIB==${place} ${broker.fingerprint}\n`,
        line: 1,
      }),
      'UTF-16': (place) => ({
        content: Buffer.from(`\uFEFF${place} ${broker.fingerprint}\r\n`, 'utf16le'),
        line: 1,
      }),
      'a newer line that is damaged': (place) => ({
        content: `${place} ${broker.fingerprint}\n${place} sha256:\n`,
        line: 2,
      }),
      ...Object.fromEntries(
        Object.entries(strange).map(([what, subject]) => [
          what,
          (place: string) => ({ content: `${subject(place)} ${other}\n`, line: 1 }),
        ]),
      ),
    };
    for (const [what, make] of Object.entries(unreadable)) {
      it(`row "known_brokers": refuses ${what}, with file and line`, async () => {
        const { content, line } = make(`127.0.0.1:${broker.port}`);
        const { home, file } = homeWith(content);
        const { code, stdout, stderr } = await ping(home);
        assert.deepEqual([code, stdout], [8, ''], stderr);
        assert.match(stderr, /^Fatal error: [^\n]*\n$/);
        assert.ok(stderr.includes(`${file}:${line}: `), stderr);
        assert.deepEqual(readFileSync(file), Buffer.from(content), 'it is left as it is');
        const named = await ping(home, '127.0.0.1', '--fingerprint', broker.fingerprint);
        assert.deepEqual([named.code, named.stderr], [0, ''], 'who names the identity needs no file');
      });
    }

    it('row "known_brokers": one spelling for each address', async () => {
      const { home, file } = homeWith('');
      assert.match((await ping(home, 'localhost')).stderr, /^First contact/);
      for (const at of ['LOCALHOST', 'LocalHost']) {
        const { code, stderr } = await ping(home, at);
        assert.deepEqual([code, stderr], [0, ''], at);
      }
      assert.match((await ping(home)).stderr, /^First contact/);
      for (const at of ['[::ffff:127.0.0.1]', '[::FFFF:7f00:1]', '127.1']) {
        const { code, stderr } = await ping(home, at);
        assert.deepEqual([code, stderr], [0, ''], at);
      }
      assert.equal(readFileSync(file, 'utf8').split('\n').length, 3);
      assert.equal((await trust(home, '--bpbroker', `LOCALHOST:${broker.port}`)).code, 0);
      assert.equal((await trust(home, '--bpbroker', `LOCALHOST.:${broker.port}`, '--forget')).code, 0);
      assert.equal(readFileSync(file, 'utf8').split('\n').length, 2);
    });

    it('row "known_brokers": 12 writers at once lose nothing, and glue nothing to a line without an end', async () => {
      const { home, file } = homeWith(`# kept\r\n10.0.0.99:20443 ${other}`);
      const places = Array.from({ length: 12 }, (_, n) => `10.0.0.${n + 1}:20443`);
      const results = await Promise.all(
        places.map((place) => trust(home, '-b', place, '--fingerprint', other)),
      );
      for (const { code, stderr } of results) assert.equal(code, 0, stderr);
      const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
      assert.deepEqual(
        lines.toSorted(),
        ['# kept', ...[...places, '10.0.0.99:20443'].map((place) => `${place} ${other}`)].toSorted(),
      );
      assert.deepEqual(readdirSync(path.dirname(file)), ['known_brokers'], 'nothing is left beside it');
    });

    it('row "known_brokers": a first contact leaves what trust has kept meanwhile, and sends nothing', async () => {
      const { home, file } = homeWith('');
      const relay = await holdingRelay(broker.port);
      const first = run([...bpclient, '--bpbroker', relay.place, 'ping', '--access-key', 'canary-8c02'], {
        env: cleanEnv(home),
        cwd: home,
      });
      await waitFor('its handshake', () => relay.held() > 0);
      assert.equal((await trust(home, '-b', relay.place, '--fingerprint', other)).code, 0);
      const kept = readFileSync(file, 'utf8');
      const connections = relay.release();
      const { code, stdout, stderr } = await first;
      assert.deepEqual([code, stdout], [8, ''], stderr);
      assert.ok(stderr.includes(`expected ${other}; nothing was sent to it`), stderr);
      assert.equal(readFileSync(file, 'utf8'), kept);
      assert.equal(relay.held(), connections, 'no other connection was made');
    });

    it(
      'trust keeps all before it prints: a reader that has closed takes nothing from it',
      { skip: posix },
      async () => {
        const place = `127.0.0.1:${broker.port}`;
        const { home, file } = homeWith(`${place} ${broker.fingerprint}\nname=it ${broker.fingerprint}\n`);
        const trusting = [...bpclient, 'trust', '-b', place, '--name', 'db', '--fingerprint', other];
        // By then the other end of the pipe is gone.
        const closed = '{ sleep 0.3; "$@"; } | true';
        const { code, stderr } = await run(['sh', '-c', closed, 'sh', ...trusting], {
          env: cleanEnv(home),
          cwd: home,
        });
        assert.equal(code, 0, stderr);
        const keys = [place, 'name=db', 'name=it'];
        assert.equal(readFileSync(file, 'utf8'), keys.map((key) => `${key} ${other}\n`).join(''));
      },
    );

    it('trust accepts what is advised for a line that cannot be read; for another encoding it is not advised', async () => {
      const keys = ['127.0.0.1:9', '[::1]:9', nameKey("it's 1")];
      const cases = keys.flatMap((key) =>
        // The second file has its line already, before one that may be about any broker.
        [`${key} sha256:12\n`, `${key} ${other}\n????\n`].map((content) => ({ key, content })),
      );
      for (const { key, content } of cases) {
        const { home, file } = homeWith(content);
        const known = openKnownBrokers(file);
        let advised = '';
        assert.throws(
          () => known.get(key),
          ({ message }: Error) => {
            [, advised = ''] = / command trust: (.* sha256:)HEX$/.exec(message) ?? [];
            return message.includes(
              key.startsWith('name=') ? "the broker of 'it's 1'" : `the broker at ${key}`,
            );
          },
        );
        const program = bpbroker.map((word) => `'${word}'`).join(' ');
        const command = `${program} trust --timeout 300ms ${advised}${'0'.repeat(64)}`;
        const { code, stderr } = await run(['sh', '-c', command], { env: cleanEnv(home), cwd: home });
        assert.equal(code, 0, `${command}: ${stderr}`);
        assert.equal(known.get(key)?.fingerprint, '0'.repeat(64));
      }
      const { file } = homeWith(Buffer.from(`\uFEFF10.0.0.1:20443 ${other}\r\n`, 'utf16le'));
      assert.throws(
        () => openKnownBrokers(file).get('10.0.0.1:20443'),
        /save it as UTF-8.* Correct the file$/,
      );
    });

    it('trust names the lines that cannot be read, and replaces those of a broker that is accepted', async () => {
      const place = `127.0.0.1:${broker.port}`;
      const { home, file } = homeWith(`10.0.0.1:20443 ${other}\n${place} sha256:12\n`);
      const listed = await trust(home);
      assert.deepEqual([listed.code, listed.stdout], [8, `10.0.0.1:20443 ${other}\n`]);
      assert.ok(listed.stderr.includes(`${file}:2: `), listed.stderr);
      assert.equal((await trust(home, '-b', place, '--fingerprint', broker.fingerprint)).code, 0);
      assert.deepEqual((await ping(home)).stderr, '');
      assert.equal((await trust(home)).code, 0);
    });
  });
}
