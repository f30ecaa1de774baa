import { runHost } from '../../extensions/host/host.ts';
import type { Run } from '../command.ts';

/** Within an executable this takes the place of `extensions/host/main.ts`. It ends when its broker does. */
export const run: Run = async () => {
  await runHost();
  await new Promise<never>(() => undefined);
};
