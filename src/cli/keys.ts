import { runtime } from '#runtime';
import { checkDiscoveryKey } from '../client/proof.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Arguments } from './command.ts';
import type { OptionName } from './options.ts';

/** Stands in for `--discover-key-file`, and holds the key itself: no option does, for the process list shows options. */
const DISCOVER_KEY_VARIABLE = 'BPBROKER_DISCOVER_KEY';

/** The access key to present, from the option, its variable, or the file. */
export function readAccessKey(args: Arguments): string | undefined {
  const key = readKeyFile(args, 'access-key-file');
  if (key === undefined) return args.text('access-key');
  if (args.flag('access-key'))
    throw new BrokerError('usage', 'Give --access-key or --access-key-file, not both');
  return key;
}

/**
 * The discovery key: with one, brokers are found and connected to in the keyed form alone.
 * @throws BrokerError `usage` for a file that cannot be read, and for a key that is none or too weak.
 */
export function readDiscoverKey(
  args: Arguments,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const fromFile = readKeyFile(args, 'discover-key-file');
  if (fromFile !== undefined) return checkDiscoveryKey(fromFile, '--discover-key-file');
  // An empty variable counts as none: scripts export variables that they have not filled.
  const key = env[DISCOVER_KEY_VARIABLE]?.trim() || undefined;
  return key === undefined ? undefined : checkDiscoveryKey(key, DISCOVER_KEY_VARIABLE);
}

function readKeyFile(args: Arguments, option: OptionName): string | undefined {
  const file = args.text(option);
  if (file === undefined) return undefined;
  try {
    return runtime.fs().readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new BrokerError('usage', `Cannot read --${option} ${file}: ${messageOf(error)}`, { cause: error });
  }
}
