import { SERVICE } from '../service.ts';
import type { System } from '../system.ts';

/** The state of the service, from the service manager of Windows. */
export interface ServiceState {
  exists(): Promise<boolean>;
  isRunning(): Promise<boolean>;
  isStopped(): Promise<boolean>;
}

export function serviceState(system: System): ServiceState {
  // The words around it are in the language of the machine; the number is not.
  const state = async (): Promise<string | undefined> => {
    const { code, stdout } = await system.run(['sc', 'query', SERVICE]);
    return code === 0 ? (/^\s*\S+\s*:\s*([1-7])\s+[A-Z_]+\s*$/m.exec(stdout)?.[1] ?? '') : undefined;
  };
  return {
    exists: async () => (await state()) !== undefined,
    isRunning: async () => (await state()) === '4',
    isStopped: async () => ((await state()) ?? '1') === '1',
  };
}
