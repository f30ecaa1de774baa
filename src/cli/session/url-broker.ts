import { isUrl } from '../../protocol/addresses/address.ts';
import { parseBrokerUrl } from '../../protocol/addresses/broker-url.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { readAuthorities } from '../../runtime/tls/authorities.ts';
import type { Arguments } from '../command.ts';

/** A broker that is named by a URL. */
export interface UrlBroker {
  readonly url: string;
  /** The authorities to trust, in PEM; default: those of the system. */
  readonly ca: readonly string[] | undefined;
}

/**
 * The broker that the command line names by a URL.
 * @throws BrokerError `usage` for a malformed URL, for unreadable authorities, and for options that only
 * concern other brokers.
 */
export function urlBroker(args: Arguments, discoverKey: string | undefined): UrlBroker {
  const broker = args.text('bpbroker') ?? '';
  if (!isUrl(broker))
    throw new BrokerError(
      'usage',
      'Option --ca has no meaning without a URL: --bpbroker https://HOST[:PORT][/PREFIX]',
    );
  const { href } = parseBrokerUrl(broker, args.label('bpbroker'));
  if (discoverKey !== undefined)
    throw new BrokerError(
      'usage',
      `A discovery key (--discover-key-file, BPBROKER_DISCOVER_KEY) has no meaning beside the URL ${href}: a proxy presents a certificate of its own, which the holder of the key cannot vouch for. Name the broker by HOST:PORT, or give no key`,
    );
  const file = args.text('ca');
  return { url: href, ca: file === undefined ? undefined : readAuthorities(file, args.label('ca')) };
}
