import type { OptionName } from '../options/options.ts';

/** The options of `start` that the broker itself takes, and so those that a detached one is given as well. */
export const servedWith: readonly OptionName[] = [
  'listen-ip',
  'listen-port',
  'ssl-cert',
  'ssl-key',
  'log-format',
  'log-level',
];
