import { isObject } from '../protocol/formats/data.ts';
import type { ConnectOptions } from './connect-options.ts';
import {
  checkOptions,
  isFunction,
  isText,
  limitRules,
  type OptionRule,
  type OptionRules,
} from '../protocol/options.ts';

const isPort = (port: unknown): boolean =>
  Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536;
const time: OptionRule = limitRules.timeoutMs;
const key: OptionRule = { expected: 'a string', accepts: isText, secret: true };

const rules: OptionRules<ConnectOptions> = {
  broker: {
    required: true,
    expected:
      "an address such as '192.0.2.1:20443' or { host: '192.0.2.1', port: 20443 }, a URL such as 'https://host/prefix', or what discover() found",
    accepts: (broker) =>
      isObject(broker) ? isText(broker['host']) && isPort(broker['port']) : isText(broker) && broker !== '',
  },
  accessKey: key,
  discoverKey: key,
  fingerprint: { expected: "a string, such as 'sha256:HEX'", accepts: isText },
  ca: {
    expected: 'certificates in PEM, as one text or a list of texts',
    accepts: (ca) => isText(ca) || (Array.isArray(ca) && ca.length > 0 && ca.every(isText)),
  },
  fetch: { expected: 'a function that takes a Request', accepts: isFunction },
  timeoutMs: time,
  settleMs: time,
  retryForMs: time,
  findAgain: { expected: 'a function', accepts: isFunction },
  foundBy: { expected: 'a name', accepts: isText },
  knownBrokers: { expected: 'the path of a file', accepts: isText },
  notify: { expected: 'a function that takes a line', accepts: isFunction },
  onAnswer: { expected: 'a function that takes an answer', accepts: isFunction },
};

/**
 * Checks the names of the options of `connect`, and the kind of each value.
 * @throws BrokerError `usage`.
 */
export function checkConnect(options: unknown): void {
  checkOptions('connect', options, rules, 'usage');
}
