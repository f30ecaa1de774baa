import { runtime } from '#runtime';
import { fileURLToPath } from 'node:url';
import { BrokerError } from '../../protocol/errors.ts';

/**
 * The command that starts the host for scripts (`main.ts`) as a process, on the running runtime.
 * @param ofExecutable the command within an executable, which has no such file; absent where there is none.
 * @throws BrokerError `extension_failed` where it is impossible.
 */
export function scriptHostCommand(ofExecutable?: readonly string[]): readonly string[] {
  const here = import.meta.url;
  const main = new URL(here.endsWith('.ts') ? './main.ts' : './main.js', here);
  const command = runtime.moduleCommand(fileURLToPath(main)) ?? ofExecutable;
  if (command) return command;
  throw new BrokerError(
    'extension_failed',
    'This executable cannot run extensions in TypeScript or JavaScript: it was not built as bpbroker',
  );
}
