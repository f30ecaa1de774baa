import { isUrl, parseAddress } from '../../protocol/addresses/address.ts';
import { parseBrokerUrl } from '../../protocol/addresses/broker-url.ts';
import { parseFingerprint } from '../../protocol/formats/fingerprint.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import { isEndpoint, isPrefix } from '../../protocol/addresses/endpoint.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { parseMember } from '../../protocol/registry/member-paths.ts';
import { nameProblem } from '../../protocol/registry/names.ts';

/*
 * Checks of the values of options, for every command that takes them. They run before the command searches
 * for a broker. Each throws BrokerError `usage` that names `option`, such as `--name`.
 */

export function checkEntryName(value: string, option: string): void {
  const problem = nameProblem(value);
  if (problem !== undefined) throw new BrokerError('usage', `Invalid ${option}: ${problem}`);
}

/** The beginning of a name; `''` is the beginning of every name. */
export function checkPrefix(value: string, option: string): void {
  if (value !== '') checkEntryName(value, option);
}

/** The path of a member, with dots that lead inwards. */
export function checkMember(value: string, option: string): void {
  parseMember(value, option, 'usage');
}

/** At least one name: an empty variable of a script would choose no column, and print an empty line. */
export function checkCols(value: string, option: string): void {
  if (/^,*$/.test(value))
    throw new BrokerError(
      'usage',
      `Invalid ${option} '${value}': expected names of columns, such as host,port`,
    );
}

/** A module, a dot and a method. The module may have dots itself. */
export function checkMethod(value: string, option: string): void {
  if (!/^.+\.[^.]+$/s.test(value))
    throw new BrokerError(
      'usage',
      `Invalid ${option} '${value}': expected MODULE.METHOD, such as ossec.AddAgent`,
    );
}

/** An address, or a URL. */
export function checkBroker(value: string, option: string): void {
  if (isUrl(value)) parseBrokerUrl(value, option);
  else parseAddress(value, option);
}

export function checkFingerprint(value: string, option: string): void {
  parseFingerprint(value, option);
}

export function checkDuration(value: string, option: string): void {
  parseDuration(value, option);
}

export function checkWhole(value: string, option: string): void {
  if (!/^\d{1,15}$/.test(value))
    throw new BrokerError('usage', `Invalid ${option} '${value}': expected a whole number`);
}

export function checkEndpoint(value: string, option: string): void {
  if (isEndpoint(value)) return;
  // The value may hold a password, so no message repeats it.
  if (value.includes('@'))
    throw new BrokerError(
      'usage',
      `Invalid ${option}: expected a URL without a user, such as https://10.0.0.1:2379; '_store.username' and '_store.password' of the configuration name one`,
    );
  throw new BrokerError(
    'usage',
    `Invalid ${option} '${value}': expected a URL such as https://10.0.0.1:2379 or http://127.0.0.1:2379`,
  );
}

/** The beginning of keys in etcd, unlike the beginning of a name. */
export function checkKeyPrefix(value: string, option: string): void {
  if (!isPrefix(value))
    throw new BrokerError(
      'usage',
      `Invalid ${option} '${value}': expected a text that ends with '/', such as /bpbroker/`,
    );
}
