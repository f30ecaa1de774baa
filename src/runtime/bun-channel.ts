import { BunConnection } from './bun-connection.ts';
import type { Channel, ChannelOptions } from './runtime.ts';

/** A channel over {@link BunConnection}s, each of which has presented the pinned certificate. Those that rest are used again. */
export function openBunChannel(options: ChannelOptions): Channel {
  const { pin, mismatch } = options;
  let connections: readonly BunConnection[] = [];

  const connect = async (signal: AbortSignal | undefined): Promise<BunConnection> => {
    const connection = await BunConnection.open(options, signal, pin.certificate);
    const presented = connection.certificate.fingerprint;
    if (presented !== pin.fingerprint) {
      connection.close();
      throw mismatch(presented);
    }
    return connection;
  };

  return {
    async request(request) {
      request.signal?.throwIfAborted();
      const resting = connections.find(({ idle }) => idle);
      if (resting) return resting.request(request);
      const connection = await connect(request.signal);
      // Known to the others only now that this request has it.
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
