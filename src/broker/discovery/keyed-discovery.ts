import { createHash } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import { ANY_BROKER, type QueryForm } from '../../protocol/discovery/datagrams.ts';
import { type Clocks, createReplayCheck } from '../../protocol/discovery/replay-check.ts';
import { keyedForm } from '../../protocol/discovery/keyed-forms.ts';
import { listInterfaces, type NetworkInterface } from '../../runtime/network/interfaces.ts';
import { ownAddresses } from './own-addresses.ts';

/** Keyed discovery (contract, section 6) on a broker with a key: the same answers over UDP and over HTTPS. */
export interface KeyedDiscovery {
  /** The form of its queries and answers. */
  readonly form: QueryForm;
  /** Sets what to announce, once the broker can be reached. Until then it answers nothing. */
  announce(reachable: { readonly port: number; readonly fingerprint: string }): void;
  /**
   * The answer of `POST /discover` to a body from that address; undefined for a query that may not be
   * answered. The query has no name, since a client with the address needs none.
   */
  exchange(query: Uint8Array, source: string): Uint8Array | undefined;
}

export interface KeyedDiscoveryOptions {
  readonly config: Config;
  /** Identifies this broker's registry. */
  readonly id: string;
  /** Identifies this running broker, also among copies of its files. */
  readonly instance: string;
  /** Whether other brokers serve the same registry. */
  readonly isShared?: boolean;
  /** Default: the system's clocks. */
  readonly clocks?: Clocks;
}

/**
 * How long a list of interfaces is used for replies, in milliseconds: to make it takes longer than the rest
 * of a reply.
 */
const INTERFACES_MS = 1000;

/** Undefined for a broker without a discovery key. */
export function createKeyedDiscovery(options: KeyedDiscoveryOptions): KeyedDiscovery | undefined {
  const { config, instance } = options;
  const shared = options.isShared === true ? { shared: true } : {};
  const keys = discoveryKeys(config);
  if (keys.length === 0) return undefined;
  const id = idInReplies(options.id);
  let reachable: { readonly port: number; readonly fingerprint: string } | undefined;
  const interfaces = recently(INTERFACES_MS, listInterfaces);
  const addressesFor = (source: string): string[] => ownAddresses(config.api.listen_ip, source, interfaces());
  const form = keyedForm(
    keys,
    (source) => reachable && { id, instance, ...shared, ...reachable, addresses: addressesFor(source) },
    createReplayCheck(instance, options.clocks),
  );
  return {
    form,
    announce(now) {
      reachable = now;
    },
    exchange(datagram, source) {
      const query = form.read(datagram);
      if (typeof query === 'string' || query.name !== ANY_BROKER || !reachable) return undefined;
      return query.claim?.() && query.reply(source);
    },
  };
}

/** The result of `list`, at most `ms` milliseconds old. */
function recently(ms: number, list: () => readonly NetworkInterface[]): () => readonly NetworkInterface[] {
  let at = -Infinity;
  let last: readonly NetworkInterface[] = [];
  return () => {
    const now = performance.now();
    if (now - at > ms) {
      last = list();
      at = now;
    }
    return last;
  };
}

/** The keys in the configuration, which has been checked. */
function discoveryKeys(config: Config): string[] {
  const given = config['discover']?.['_access_key'];
  return [given ?? []].flat().filter((key): key is string => typeof key === 'string' && key !== '');
}

/** A registry's id may have been written by hand; a long one must leave room for the addresses in a reply. */
function idInReplies(id: string): string {
  if (/^[!-~]{1,64}$/.test(id)) return id;
  return createHash('sha256').update(id).digest('hex').slice(0, 16);
}
