import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import {
  launchers,
  parseReady,
  run,
  type RunningBroker,
  startBroker,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';

const fingerprint = `sha256:${'ab'.repeat(32)}`;
const ready = `ready: https://127.0.0.1:24000 (discovery on UDP port 24001, identity ${fingerprint})`;

/** A stand-in for the programs, so that these tests say nothing about the real ones. */
function fakeProgram(code: string): { bpbroker: string[]; bpclient: string[] } {
  const file = path.join(tempDir(), 'fake.mjs');
  writeFileSync(file, code);
  const command = [process.execPath, file];
  return { bpbroker: [...command, 'bpbroker'], bpclient: [...command, 'bpclient'] };
}

const standIn = `
if (process.argv.includes('start')) {
  process.on('SIGTERM', () => process.exit(7));
  setInterval(() => {}, 1000);
  console.error('first line\\n${ready}');
} else {
  console.log(JSON.stringify({ args: process.argv.slice(2), env: process.env, cwd: process.cwd() }));
}`;

describe('run()', () => {
  it('returns code, output and what it received on stdin', async () => {
    const code = `process.stdin.pipe(process.stdout); console.error('said'); process.exitCode = 3;`;
    const result = await run([process.execPath, '-e', code], { input: 'ä given' });
    assert.deepEqual(result, { code: 3, signal: undefined, stdout: 'ä given', stderr: 'said\n' });
  });

  it('returns the signal that ended a program', async () => {
    const result = await run([process.execPath, '-e', `process.kill(process.pid, 'SIGTERM')`]);
    assert.equal(result.signal, 'SIGTERM');
    assert.equal(result.code, undefined);
  });

  it('kills a program that does not end, and tells what it printed', async () => {
    const code = `console.log('so far'); setInterval(() => {}, 1000);`;
    await assert.rejects(run([process.execPath, '-e', code], { timeoutMs: 8000 }), /8000 ms\nstdout: so far/);
  });

  it('refuses a program that is not there', async () => {
    await assert.rejects(run(['/no/such/program']), /ENOENT/);
  });
});

describe('startBroker()', () => {
  it('reads the ready line and runs clients against that port in a home of their own', async () => {
    process.env['BPBROKER_ACCESS_KEY'] = 'of the user';
    const broker = await startBroker(fakeProgram(standIn));
    assert.equal(broker.url, 'https://127.0.0.1:24000');
    assert.deepEqual([broker.port, broker.udpPort, broker.fingerprint], [24_000, 24_001, fingerprint]);
    assert.match(broker.stderr(), /^first line/);

    const { stdout } = await broker.client(['ping'], { env: { EXTRA: '1' } });
    const seen = JSON.parse(stdout) as { args: string[]; env: Record<string, string>; cwd: string };
    assert.deepEqual(seen.args, ['bpclient', '--bpbroker', '127.0.0.1:24000', 'ping']);
    assert.equal(seen.env['BPBROKER_ACCESS_KEY'], undefined);
    assert.equal(seen.env['BPBROKER_INTERFACES'], 'lo');
    assert.equal(seen.env['EXTRA'], '1');
    assert.ok(seen.env['HOME']?.startsWith(broker.dir));

    const found = await broker.client(['discover'], { program: 'bpbroker', address: false });
    assert.deepEqual((JSON.parse(found.stdout) as { args: string[] }).args, ['bpbroker', 'discover']);
    assert.deepEqual(await broker.stop(), { code: 7, signal: undefined });
  });

  it('ends a broker by force on demand', async () => {
    const broker = await startBroker(fakeProgram(standIn));
    await broker.kill();
    assert.throws(() => process.kill(broker.pid, 0), /ESRCH/);
  });

  describe('in a hook', () => {
    let broker: RunningBroker;
    before(async () => {
      broker = await startBroker(fakeProgram(standIn));
    });

    it('leaves the broker running, and its folder there, for the tests', async () => {
      process.kill(broker.pid, 0);
      assert.equal((await broker.client(['ping'])).code, 0);
    });
  });

  it('tells what a broker printed that ended before it was ready', async () => {
    const program = fakeProgram(`console.error('Fatal error: no port'); process.exitCode = 1;`);
    await assert.rejects(startBroker(program), /it ended with 1\).*\nFatal error: no port/);
  });

  it('gives up on a broker that never becomes ready, and ends it', async () => {
    const program = fakeProgram(`console.error('pid ' + process.pid); setInterval(() => {}, 1000);`);
    const error = await startBroker(program, { timeoutMs: 8000 }).then(
      () => 'it started',
      (reason: unknown) => String(reason),
    );
    const [, pid] = /it still runs[^]*pid (\d+)/.exec(error) ?? [];
    assert.ok(pid, error);
    assert.throws(() => process.kill(Number(pid), 0), /ESRCH/);
  });
});

describe('parseReady()', () => {
  it('knows an IPv6 address and text around the line', () => {
    const text = `warning\nready: https://[::1]:443 (home /x; discovery on UDP port 9, identity ${fingerprint})\n`;
    assert.deepEqual(parseReady(text), { url: 'https://[::1]:443', port: 443, udpPort: 9, fingerprint });
  });

  it('returns nothing for a line that is not whole yet', () => {
    assert.equal(parseReady(ready.slice(0, -10)), undefined);
  });
});

describe('launchers', () => {
  it('name every way to run the programs, usable or with the reason why not', () => {
    assert.deepEqual(
      launchers.map(({ name }) => name),
      ['node20', 'node24', 'bun', 'deno', 'executable'],
    );
    for (const { available } of launchers) assert.ok(available === true || available.length > 10);
  });

  it('take the Node of the machine for node20, not the dev dependency', () => {
    const [host] = launchers;
    assert.ok(!host?.bpbroker[0]?.includes('node_modules'));
  });
});
