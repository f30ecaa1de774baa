import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { atEnd } from '../../support/cleanup.ts';
import { cleanEnv, run, startBroker } from '../../support/programs/programs.ts';
import { killIfThere, unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { advised, at, diagnose, register, userOf } from './doctor-support.ts';
import { follow, freePort, reference } from '../support.ts';

const notRoot = process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs root on Linux';

describe("doctor, of a broker's own trouble,", () => {
  it('says that the clocks differ by an hour', { skip: lacking('faketime') }, async () => {
    const user = userOf();
    const faked = ['faketime', '-f', '+1h'];
    const broker = await startBroker(
      { ...reference, bpbroker: [...faked, ...reference.bpbroker] },
      { env: { FAKETIME_DONT_FAKE_MONOTONIC: '1' } },
    );
    atEnd(() => {
      for (const pid of childrenOf(broker.pid)) killIfThere(pid);
    });
    const off = await user.doctor(at(broker), 'clock_off', 1);
    assert.match(off.json.message ?? '', /the broker's is (?:59|60) min ahead of this host's/);
    await user.types(advised(off));
    // To a client whose clock goes as the broker's, all is well.
    const same = await diagnose(
      (command) => run(command, { env: { ...cleanEnv(user.home), FAKETIME_DONT_FAKE_MONOTONIC: '1' } }),
      [...faked, ...reference.bpclient],
      at(broker),
      { cause: null, code: 0 },
    );
    assert.equal(same.check('clock').status, 'ok');
  });

  it("says that the disk is full, from afar and on the broker's host", { skip: notRoot }, async () => {
    const user = userOf();
    const dir = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir]);
    atEnd(() => unmount(dir));
    const broker = await startBroker(reference, { dir });
    await register(user, broker, 'foo');
    const filler = path.join(dir, 'filler');
    execFileSync('sh', ['-c', 'cat /dev/zero > "$1" 2>/dev/null || true', 'sh', filler]);
    const isRefused = async (): Promise<boolean> => {
      const words = ['service', 'replace', '--name', 'foo', '--data', 'y'.repeat(100_000)];
      const { code } = await run([...reference.bpclient, ...at(broker), ...words], {
        env: cleanEnv(user.home),
      });
      return code === 1;
    };
    await waitFor('a write to be refused', isRefused, 30_000);
    const afar = await user.doctor(at(broker), 'disk_full', 1);
    assert.deepEqual([afar.json.advice?.where, afar.check('health').status], ['broker', 'fail']);
    assert.match(await user.types(advised(afar)), /Use%/);
    const config = ['--config', broker.configFile];
    const here = await user.doctor([...at(broker), ...config], 'disk_full', 1);
    assert.equal(here.json.advice?.where, 'here');
    assert.equal(here.check('host_disk').status, 'fail');
    assert.match(await user.types(advised(here)), new RegExp(String.raw`(9\d|100)% ${dir}$`));
    rmSync(filler);
    await waitFor('writes to be taken again', async () => !(await isRefused()), 30_000);
    await waitFor(
      'the broker to see it',
      async () => {
        const { stdout } = await run([...reference.bpclient, ...at(broker), 'doctor', '--format', 'json'], {
          env: cleanEnv(user.home),
        });
        return (JSON.parse(stdout) as { ok: boolean }).ok;
      },
      30_000,
    );
    await broker.kill();
  });

  it(
    'says that the broker is read-only after its disk failed',
    { skip: notRoot || lacking('strace') },
    async () => {
      const user = userOf();
      const broker = await startBroker(reference);
      await register(user, broker, 'foo');
      const inject =
        '-f -o /dev/null -e trace=fsync,fdatasync,pwrite64 -e inject=fsync,fdatasync,pwrite64:error=EIO';
      const failing = follow(spawn('strace', [...inject.split(' '), '-p', String(broker.pid)]));
      await waitFor('strace to hold it', () => /attached/.test(failing.stderr()));
      await run(
        [...reference.bpclient, ...at(broker), 'service', 'replace', '--name', 'foo', '--data', 'y'],
        { env: cleanEnv(user.home) },
      );
      await failing.stop('SIGINT');
      const afar = await user.doctor(at(broker), 'read_only', 1);
      assert.match(afar.json.advice?.text ?? '', /restart it/);
      const config = ['--config', broker.configFile];
      const here = await user.doctor([...at(broker), ...config], 'read_only', 1);
      assert.equal(here.json.advice?.where, 'here');
      await broker.kill();
      const again = await startBroker(reference, {
        dir: broker.dir,
        args: ['--listen-port', String(broker.port)],
      });
      await user.doctor(at(again), null, 0);
      await again.kill();
    },
  );

  it(
    'says on its host that its folder is read-only, or its configuration malformed',
    { skip: notRoot },
    async () => {
      const user = userOf();
      const dir = tempDir();
      const config = path.join(dir, 'bpbroker.json');
      const port = ['--port', String(await freePort())];
      writeFileSync(config, '{"services": {}');
      const malformed = await user.doctor(['--config', config, ...port], 'config_unusable', 1);
      assert.match(malformed.json.message ?? '', /bpbroker\.json:1:16/);
      writeFileSync(config, '{"services": {}}');
      const idle = await user.doctor(['--config', config, ...port], 'no_broker', 6);
      assert.equal(idle.json.advice?.command, `bpbroker start --config ${config}`);
      execFileSync('mount', ['--bind', dir, dir]);
      atEnd(() => unmount(dir));
      execFileSync('mount', ['-o', 'remount,ro,bind', dir]);
      await user.doctor(['--config', config, ...port], 'read_only', 1);
    },
  );
});

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : [];
}
