import type { OptionName } from './options.ts';

/** The options of every command that connects to a broker. */
export const connectionOptions: readonly OptionName[] = [
  'bpbroker',
  'access-key',
  'access-key-file',
  'discover-key-file',
  'fingerprint',
  'ca',
  'timeout',
  'interface',
  'target',
  'port',
  'quiet',
  'verbose',
];

/** The options of every command that prints a result. */
export const outputOptions: readonly OptionName[] = ['format', 'cols', 'raw'];
