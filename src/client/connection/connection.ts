import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import type { Channel, ChannelRequest, ChannelResponse, Pin } from '../../runtime/runtime.ts';
import { identityMismatch, type PinSource } from '../trust/identity.ts';

/** Finds out where the broker is and who it is, within so many milliseconds. */
export type Settle = (ms: number) => Promise<BrokerConnection>;

/** The connection to one broker whose identity has been checked. */
export interface BrokerConnection {
  /** Where the broker is. It changes when the broker has moved. */
  readonly address: HostPort;
  /** The broker, as messages name it. */
  readonly place: string;
  /** Whether a proxy may answer instead of the broker. */
  readonly isProxied: boolean;
  /** Sends a request whose path begins at the broker. Throws as `Channel.request` does. */
  request(request: ChannelRequest): Promise<ChannelResponse>;
  /**
   * Checks that the broker is in reach, within so many milliseconds. Nothing secret is sent.
   * @throws BrokerError `unreachable`, `unavailable`, `identity_mismatch`.
   */
  probe(ms: number): Promise<void>;
  close(): void;
  /** Present for a broker that is known by its certificate, wherever it is. */
  readonly pinned?: PinnedBroker;
}

export interface PinnedBroker {
  /** The certificate that the broker must present. */
  readonly pin: Pin;
  readonly pinSource: PinSource;
  /**
   * Sends later requests to another address of the same broker. Requests that run at the former address end.
   */
  moveTo(address: HostPort): void;
}

/** A line to a broker that must present a certificate. */
export function openPinnedConnection(first: HostPort, pin: Pin, pinSource: PinSource): BrokerConnection {
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
  { pin, pinSource }: Pick<PinnedBroker, 'pin' | 'pinSource'>,
  ms: number,
): Promise<void> {
  const { fingerprint } = await runtime.peerCertificate(address, ms);
  if (fingerprint !== pin.fingerprint)
    throw identityMismatch(address, pin.fingerprint, fingerprint, pinSource);
}
