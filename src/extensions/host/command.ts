import { runtime } from '#runtime';
import { fileURLToPath } from 'node:url';
import { BrokerError } from '../../protocol/errors.ts';

/**
 * Starts the host for scripts (`main.ts`) in a process of its own, on the runtime that runs this.
 * @param ofExecutable does so within an executable, which has no such file; absent where it cannot.
 * @throws BrokerError `extension_failed` where there is no way.
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
