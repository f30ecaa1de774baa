import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanEnv, launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { ptyProblem } from '../../support/programs/pty.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { endOf, noShell, untilNoneLeft } from './lock-support.ts';
import { follow, reference, type Running, skipOf } from '../support.ts';

let broker: RunningBroker;
before(async () => {
  broker = await startBroker(reference);
});

const noBash: string | false = spawnSync('bash', ['-c', 'true']).status !== 0 && 'needs bash';

const CTRL_C = '\u0003';

for (const launcher of launchers) {
  describe(
    `lock on a terminal, on ${launcher.name}`,
    { skip: skipOf(launcher) || noShell || ptyProblem },
    () => {
      /** Runs it on a terminal of its own, whose keyboard is its standard input. */
      const start = (
        name: string,
        options: readonly string[],
        script: string,
        wrap = (line: string): string => `exec ${line}`,
      ): Running => {
        const home = tempDir();
        const words = launcher.bpclient.concat(
          ['--bpbroker', `127.0.0.1:${broker.port}`, '--fingerprint', broker.fingerprint],
          ['lock', '--name', `${launcher.name}/${name}`, ...options, '--', 'sh', '-c', script],
        );
        const line = words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
        const child = spawn('script', ['-qec', wrap(line), '/dev/null'], {
          cwd: home,
          env: cleanEnv(home),
          stdio: ['pipe', 'pipe', 'pipe'],
        });
        child.stdin.on('error', () => undefined);
        return follow(child);
      };
      const type = (terminal: Running, keys: string): void => void terminal.child.stdin?.write(keys);
      const untilShown = (terminal: Running, text: string): Promise<unknown> =>
        waitFor(`'${text}' on the terminal`, () => terminal.stdout().includes(text)).catch((error) => {
          throw new Error(`The terminal shows: ${terminal.stdout()}`, { cause: error });
        });

      for (const mode of ['by itself', '--foreground'] as const) {
        const options = mode === '--foreground' ? [mode] : [];

        it(`its command reads what is typed, ${mode}`, async () => {
          const terminal = start(`read ${mode}`, options, 'echo READY; read x; echo "got <$x>"; exit 7');
          await untilShown(terminal, 'READY');
          type(terminal, 'hello\r');
          await untilShown(terminal, 'got <hello>');
          assert.equal(await endOf(terminal), 7);
        });

        it(`Ctrl-C reaches its command once, ${mode}`, async () => {
          // The first may come late on a busy machine. After it, a second has 1.5 s to show.
          const script = [
            `i=0; n=0; trap 'n=$((n + 1)); echo "INT $n"' INT; trap 'exit 5' HUP; echo READY`,
            'until [ $n -gt 0 ] || [ $i -gt 600 ]; do sleep 0.1; i=$((i + 1)); done',
            'i=0; while [ $i -lt 15 ]; do sleep 0.1; i=$((i + 1)); done; exit 5',
          ].join('; ');
          const terminal = start(`int ${mode}`, options, script);
          await untilShown(terminal, 'READY');
          type(terminal, CTRL_C);
          await untilShown(terminal, 'INT 1');
          assert.equal(await endOf(terminal), 5);
          assert.doesNotMatch(terminal.stdout(), /INT 2/);
        });

        it(`Ctrl-C ends its command and it, ${mode}`, async () => {
          const mark = path.join(tempDir(), 'mark');
          const terminal = start(
            `end ${mode}`,
            options,
            `echo READY; while :; do sleep 0.1; done; : ${mark}`,
          );
          await untilShown(terminal, 'READY');
          type(terminal, CTRL_C);
          assert.equal(await endOf(terminal), 130);
          await untilNoneLeft(mark);
        });

        it(`Ctrl-C ends the bash script that it is part of, ${mode}`, { skip: noBash }, async () => {
          const inBash = (line: string): string =>
            `exec bash -c '${`${line}; echo went on`.replaceAll("'", String.raw`'\''`)}'`;
          const terminal = start(`bash ${mode}`, options, 'echo READY; exec sleep 60', inBash);
          await untilShown(terminal, 'READY');
          type(terminal, CTRL_C);
          assert.equal(await endOf(terminal), 130);
          assert.doesNotMatch(terminal.stdout(), /went on/);
        });

        it(`a terminal that is closed ends both, ${mode}`, async () => {
          const mark = path.join(tempDir(), 'mark');
          const terminal = start(
            `hup ${mode}`,
            options,
            `echo READY; while :; do sleep 0.1; done; : ${mark}`,
          );
          await untilShown(terminal, 'READY');
          terminal.child.kill('SIGKILL');
          await untilNoneLeft(mark);
        });
      }

      it('what asks at /dev/tty is answered with --foreground alone', async () => {
        const script = 'echo READY; read x </dev/tty && echo "got <$x>"';
        const whole = start('tty', ['--foreground'], script);
        await untilShown(whole, 'READY');
        type(whole, 'secret\r');
        await untilShown(whole, 'got <secret>');
        assert.equal(await endOf(whole), 0);
        assert.notEqual(await endOf(start('no tty', [], script)), 0);
      });

      it('with --foreground, kill -9 of it and a signal reach its command', async () => {
        const mark = path.join(tempDir(), 'mark');
        const running = start(
          'killed',
          ['--foreground'],
          `echo READY $PPID; while :; do sleep 0.1; done; : ${mark}`,
        );
        await untilShown(running, 'READY');
        const pid = Number(/READY (\d+)/.exec(running.stdout())?.[1]);
        process.kill(pid, 'SIGKILL');
        await untilNoneLeft(mark);
        const second = start(
          'told',
          ['--foreground'],
          `trap 'exit 8' TERM; echo READY $PPID; while :; do sleep 0.1; done`,
        );
        await untilShown(second, 'READY');
        await sleep(50);
        process.kill(Number(/READY (\d+)/.exec(second.stdout())?.[1]), 'SIGTERM');
        assert.equal(await endOf(second), 8);
      });
    },
  );
}
