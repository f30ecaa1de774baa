import type { OptionName } from './options.ts';

/** The options that every command which talks to a broker takes. */
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

/** The options that every command which prints a result takes. */
export const outputOptions: readonly OptionName[] = ['format', 'cols', 'raw'];
