import type { OptionName } from '../options/options.ts';

/** The options of `start` that a detached broker receives too. */
export const brokerOptions: readonly OptionName[] = [
  'listen-ip',
  'listen-port',
  'ssl-cert',
  'ssl-key',
  'log-format',
  'log-level',
];
