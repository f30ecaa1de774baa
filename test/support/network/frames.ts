import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { scriptHostCommand } from '../../../src/extensions/host/command.ts';
import { hostVariables } from '../../../src/protocol/messages/extension-frames.ts';
import { atEnd } from '../cleanup.ts';

/**
 * Plays a broker's part in an exchange of frames with the host of a script, and checks the host's part. Lines
 * that begin with `→ ` are sent, those with `← ` have to come.
 */
export async function playFrames(
  exchange: string,
  extension: { readonly file: string; readonly name: string; readonly dir: string },
): Promise<void> {
  const mark = 'mark ';
  const host = startHost(extension, mark);
  const lines = createInterface({ input: host.stdout ?? assert.fail() })[Symbol.asyncIterator]();
  try {
    for (const line of exchange.trim().split('\n')) {
      const [, direction, frame = ''] = /^([→←]) (.*)$/.exec(line) ?? assert.fail(`No frame: ${line}`);
      if (direction === '→') {
        host.stdin?.write(`${frame}\n`);
        continue;
      }
      const { value = '' } = (await lines.next()) as { value?: string };
      assert.ok(value.startsWith(mark), `It wrote: ${value}`);
      assert.deepEqual(JSON.parse(value.slice(mark.length)), JSON.parse(frame));
    }
  } finally {
    host.kill();
  }
}

function startHost(
  { file, name, dir }: { readonly file: string; readonly name: string; readonly dir: string },
  mark: string,
): ChildProcess {
  const [program = '', ...args] = scriptHostCommand();
  const variables = {
    [hostVariables.file]: file,
    [hostVariables.name]: name,
    [hostVariables.dir]: dir,
    [hostVariables.mark]: mark,
  };
  const child = spawn(program, args, {
    cwd: dir,
    env: { ...process.env, ...variables },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  atEnd(() => child.kill('SIGKILL'));
  return child;
}
