import { BunConnection } from './connection.ts';
import type { Channel, ChannelOptions, HostChannelOptions } from '../runtime.ts';

/**
 * A channel over {@link BunConnection}s that have each presented the pinned certificate. Idle connections are
 * used again.
 */
export function openBunChannel(options: ChannelOptions): Channel {
  const { pin, mismatch } = options;
  return channelOver(async (signal) => {
    const connection = await BunConnection.open(options, signal, { expected: pin.certificate });
    const presented = connection.certificate.fingerprint;
    if (presented !== pin.fingerprint) {
      connection.close();
      throw mismatch(presented);
    }
    return connection;
  });
}

/** A channel to a host: see `Runtime.openHostChannel`. */
export function openBunHostChannel(options: HostChannelOptions): Channel {
  const { authorities, host, judge } = options;
  return channelOver(async (signal) => {
    const connection = await BunConnection.open(options, signal, { verified: { authorities, host } });
    try {
      const { fingerprint, certificate } = connection.certificate;
      judge({ fingerprint, certificate, isVouchedFor: connection.isVouchedFor(host) });
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  });
}

function channelOver(connect: (signal: AbortSignal | undefined) => Promise<BunConnection>): Channel {
  let connections: readonly BunConnection[] = [];
  return {
    async request(request) {
      request.signal?.throwIfAborted();
      const resting = connections.find(({ idle }) => idle);
      if (resting) return resting.request(request);
      const connection = await connect(request.signal);
      // It joins the others only now that this request uses it.
      const response = connection.request(request);
      connections = [...connections.filter(({ open }) => open), connection];
      return response;
    },
    close() {
      for (const connection of connections) connection.close();
      connections = [];
    },
  };
}
