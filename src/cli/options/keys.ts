import { runtime } from '#runtime';
import { checkDiscoveryKey } from '../../client/trust/proof.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { readSecret } from '../../protocol/formats/secret.ts';
import type { Environment } from '../../runtime/runtime.ts';
import { cannotRead } from '../../protocol/system-errors.ts';
import type { Arguments } from '../command.ts';

/**
 * The variable for `--discover-key-file`. It holds the key itself; no option does, because the process list
 * shows options.
 */
const DISCOVER_KEY_VARIABLE = 'BPBROKER_DISCOVER_KEY';

/** The variable for `--access-key`. */
const ACCESS_KEY_VARIABLE = 'BPBROKER_ACCESS_KEY';

/**
 * The access key to present, from the option, its variable, or the file.
 * @throws BrokerError `usage` for one that cannot be read, and for an empty one, which is not the same as
 * none.
 */
export function readAccessKey(args: Arguments, env: Environment = runtime.environment): string | undefined {
  const file = args.text('access-key-file');
  if (file !== undefined) {
    if (args.flag('access-key'))
      throw new BrokerError('usage', 'Give --access-key or --access-key-file, not both');
    return readKeyFile(file, '--access-key-file');
  }
  if (args.flag('access-key')) return readSecret(args.text('access-key') ?? '', '--access-key');
  return readVariable(env, ACCESS_KEY_VARIABLE);
}

/**
 * The discovery key. With one, only the keyed form is used to find brokers and connect to them.
 * @throws BrokerError `usage` for one that cannot be read, or is empty or too weak.
 */
export function readDiscoverKey(args: Arguments, env: Environment = runtime.environment): string | undefined {
  const file = args.text('discover-key-file');
  if (file !== undefined)
    return checkDiscoveryKey(readKeyFile(file, '--discover-key-file'), '--discover-key-file');
  const key = readVariable(env, DISCOVER_KEY_VARIABLE);
  return key === undefined ? undefined : checkDiscoveryKey(key, DISCOVER_KEY_VARIABLE);
}

/**
 * The key in a file, which may be a named pipe.
 * @throws BrokerError as {@link cannotRead}, or `usage` for what is no key.
 */
export function readKeyFile(file: string, option: string): string {
  let bytes: Uint8Array;
  try {
    bytes = runtime.fs().readFileSync(file);
  } catch (error) {
    throw cannotRead(option, file, error);
  }
  return readSecret(bytes, `${option} ${file}`);
}

/**
 * An empty variable is refused, unlike other empty variables. It is the result of a command that failed
 * (`$(cat FILE)`). Without its key a client would search in the open form, or call without a key.
 */
function readVariable(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined ? undefined : readSecret(value, `The variable ${name}`);
}
