import { runHost } from '../../extensions/host/host.ts';
import type { Run } from '../command.ts';

/** The counterpart of `extensions/host/main.ts` within an executable. It ends when its broker does. */
export const run: Run = async () => {
  await runHost();
  await new Promise<never>(() => undefined);
};
