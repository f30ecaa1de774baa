import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import type { Channel, ChannelRequest, ChannelResponse, Pin } from '../../runtime/runtime.ts';
import { identityMismatch, type PinSource } from '../trust/identity.ts';

/** Finds out where the broker is and who it is, within so many milliseconds. */
export type Settle = (ms: number) => Promise<Line>;

/** How requests get to one broker whose identity has been settled. */
export interface Line {
  /** Where the broker is; another address once it has moved. */
  readonly address: HostPort;
  /** The broker, as messages name it. */
  readonly place: string;
  /** Whether what answers may be a proxy, and not the broker. */
  readonly isProxied: boolean;
  /** Sends a request whose path begins at the broker. Throws as `Channel.request` does. */
  request(request: ChannelRequest): Promise<ChannelResponse>;
  /**
   * Looks whether the broker is in reach, within so many milliseconds; nothing secret is sent.
   * @throws BrokerError `unreachable`, `unavailable`, `identity_mismatch`.
   */
  probe(ms: number): Promise<void>;
  close(): void;
  /** Of a broker that is known by its certificate, wherever it is. */
  readonly pinned?: Pinned;
}

export interface Pinned {
  /** The certificate that the broker must present. */
  readonly pin: Pin;
  readonly pinSource: PinSource;
  /** From now on, requests go to another address of the same broker. Those that are under way at the former one end. */
  moveTo(address: HostPort): void;
}

/** A line to a broker that must present a certificate. */
export function pinnedLine(first: HostPort, pin: Pin, pinSource: PinSource): Line {
  let address = first;
  const openChannel = (): Channel => {
    const to = address;
    const mismatch = (presented: string): BrokerError =>
      identityMismatch(to, pin.fingerprint, presented, pinSource);
    return runtime.openChannel({ ...to, pin, mismatch });
  };
  let channel = openChannel();
  return {
    get address() {
      return address;
    },
    get place() {
      return formatAddress(address);
    },
    isProxied: false,
    request: (request) => channel.request(request),
    probe: (ms) => checkPin(address, { pin, pinSource }, ms),
    close: () => channel.close(),
    pinned: {
      pin,
      pinSource,
      moveTo(to) {
        channel.close();
        address = to;
        channel = openChannel();
      },
    },
  };
}

/**
 * Whether the broker with that certificate is at an address.
 * @throws BrokerError `unreachable`, `identity_mismatch`.
 */
export async function checkPin(
  address: HostPort,
  { pin, pinSource }: Pick<Pinned, 'pin' | 'pinSource'>,
  ms: number,
): Promise<void> {
  const { fingerprint } = await runtime.peerCertificate(address, ms);
  if (fingerprint !== pin.fingerprint)
    throw identityMismatch(address, pin.fingerprint, fingerprint, pinSource);
}
