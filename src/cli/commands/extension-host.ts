import { runHost } from '../../extension-host/host.ts';
import type { Run } from '../command.ts';

/** Within an executable this takes the place of `extension-host/main.ts`. It ends when its broker does. */
export const run: Run = async () => {
  await runHost();
  await new Promise<never>(() => undefined);
};
