import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Broker } from '../../../src/broker/broker.ts';
import type { LogFields } from '../../../src/protocol/logger.ts';
import { type Answer, openApp } from '../../broker/support.ts';
import { atEnd } from '../../support/cleanup.ts';
import { extensionDir, writeExtensions } from '../../support/registry/extensions.ts';
import { post } from '../../support/network/https.ts';
import { launchers, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { skipOf } from '../support.ts';

const windows = process.platform === 'win32' ? 'it runs a shell' : false;
const CALLS = 60;

// What goes before a line that is printed has the broker read one pipe while the other is still empty.
const files = {
  'script.mjs':
    'export function Log({ data, log }) { log.info(`told ${data}`); console.log(`printed ${data}`); }',
  'snake.py':
    'def Log(rh):\n    rh.log.info("told " + rh.qs["data"])\n    print("printed " + rh.qs["data"])\n',
  program: '#!/bin/sh\nread -r request\necho "printed $(expr "$request" : \'.*"data":"\\([^"]*\\)"\')" >&2\n',
};

interface Printed {
  readonly text: string;
  readonly request?: string;
}

function printedIn(log: string): Printed[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  return lines
    .map((line) => JSON.parse(line) as Partial<Printed>)
    .filter((line): line is Printed => line.text?.startsWith('printed ') === true);
}

describe('what an extension prints', () => {
  for (const launcher of launchers) {
    describe(`on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
      for (const called of ['script', 'snake', 'program']) {
        it(`is in the log once, in the name of the call that printed it, until the broker has stopped: ${called}`, async () => {
          const dir = tempDir();
          writeExtensions(dir, files);
          const broker = await startBroker(launcher, {
            dir,
            args: ['--log-format', 'json'],
            config: { [called]: { _concurrency: 1, _queue: CALLS } },
          });
          const ids = Array.from({ length: CALLS }, (_, i) => `call-${i}`);
          const answers = await Promise.all(
            ids.map((id) =>
              post({
                port: broker.port,
                path: `/${called}/${called === 'program' ? 'Run' : 'Log'}`,
                body: { data: id },
                headers: { 'x-request-id': id },
              }),
            ),
          );
          assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200], answers[0]?.body);
          assert.equal((await broker.stop()).code, 0);
          const printed = printedIn(broker.stderr());
          assert.deepEqual(
            printed.map(({ text }) => text).toSorted(),
            ids.map((id) => `printed ${id}`).toSorted(),
          );
          for (const { text, request } of printed) assert.equal(text, `printed ${request}`);
        });
      }
    });
  }

  /** A broker in this process whose only extension is this one; `lines` has what it has logged of it. */
  async function brokerHere(
    file: string,
    text: string,
  ): Promise<{
    readonly broker: Broker;
    readonly lines: readonly unknown[];
    ask(): Promise<Answer>;
  }> {
    const lines: unknown[] = [];
    const note = (_message: string, { text: line }: LogFields = {}): void => {
      if (line !== undefined) lines.push(line);
    };
    const { broker, send } = await openApp({
      config: { talking: {} },
      extensionDir: extensionDir({ [file]: text }),
      log: { debug: note, info: note, warn: note, error: note },
    });
    atEnd(() => broker.close());
    return { broker, lines, ask: () => send('/talking/Run') };
  }

  it('is read when the broker stops before it has had a turn to read it', async () => {
    const printed = path.join(tempDir(), 'printed');
    const { broker, lines, ask } = await brokerHere(
      'talking.mjs',
      `import { writeFileSync } from 'node:fs';
      export function Run() {
        setTimeout(() => console.log('after the answer'), 50);
        setTimeout(() => writeFileSync(${JSON.stringify(printed)}, ''), 100);
      }`,
    );
    assert.equal((await ask()).status, 200);
    const until = performance.now() + 10_000;
    while (!existsSync(printed) && performance.now() < until);
    await broker.close();
    assert.deepEqual(lines, ['after the answer']);
  });

  it(
    'is the message of a program that fails, also when its end is noticed late',
    { skip: windows },
    async () => {
      const { ask } = await brokerHere('talking', '#!/bin/sh\nsleep 0.1\necho "it broke" >&2\nexit 3\n');
      for (let i = 0; i < 5; i++) {
        const asked = ask();
        await setTimeout(50);
        spin(150);
        assert.equal((await asked).body['message'], 'it broke');
      }
    },
  );

  it('is not cut off with a long line that has no end, and an empty line is none', async () => {
    const long = 'x'.repeat(40_000);
    const { broker, lines, ask } = await brokerHere(
      'talking.mjs',
      `export function Run() { process.stderr.write(${JSON.stringify(long)}); }`,
    );
    await ask();
    await ask();
    await broker.close();
    assert.ok(
      lines.every((line) => /^x+$/.test(String(line))),
      JSON.stringify(lines).slice(0, 200),
    );
    assert.ok(lines.length > 1 && lines.length % 2 === 0, 'each call has lines of its own');
  });
});

/** Keeps this thread busy. */
function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
