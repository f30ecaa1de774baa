import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import type { Channel, HostChannelOptions } from '../runtime.ts';
import { isForHost } from './host-name.ts';
import { channelOver } from './verified-channel.ts';
import { certificateOf, connectUnverified } from './verified-socket.ts';

/** A channel to a host on Node and Deno: its certificate is checked before the socket is used. */
export function openHostChannel(options: HostChannelOptions): Channel {
  const { host, authorities, judge } = options;
  // It is made once for all connections: parsing the certificates takes longer than a handshake.
  const secureContext = tls.createSecureContext({ ca: [...authorities], minVersion: 'TLSv1.2' });
  const servername = isIP(host) === 0 ? host.replace(/\.$/, '') : '';
  return channelOver(options, async (signal) => {
    // The runtime checks the certificate as with `rejectUnauthorized`; its result is read below.
    const socket = await connectUnverified(options, signal, { servername, secureContext });
    try {
      const presented = certificateOf(socket);
      const isVouchedFor = socket.authorized && isForHost(new X509Certificate(presented.certificate), host);
      judge({ ...presented, isVouchedFor });
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });
}
