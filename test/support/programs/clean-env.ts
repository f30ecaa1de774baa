import path from 'node:path';
import { root } from '../../../build/root.ts';
import { RUN_VARIABLE } from '../../../build/test/left-behind.ts';

/**
 * An environment in which a program finds nothing of the user's: its own home under `dir`, the loopback interface alone
 * for discovery, no colours.
 */
export function cleanEnv(dir: string, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ['PATH', 'TMPDIR', 'TEMP', 'SystemRoot', 'ComSpec', 'PATHEXT', RUN_VARIABLE].flatMap(
    (name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    },
  );
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    HOME: dir,
    XDG_CONFIG_HOME: path.join(dir, 'config'),
    BPBROKER_HOME: path.join(dir, 'bpbroker'),
    BPBROKER_INTERFACES: 'lo',
    NO_COLOR: '1',
    // Deno keeps what it has compiled; without this each start would compile anew.
    DENO_DIR: path.join(root, 'node_modules', '.cache', 'deno'),
    DENO_NO_UPDATE_CHECK: '1',
    ...extra,
  };
}
