import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import type { Channel, SiteOptions } from '../runtime.ts';
import { isFor } from './site-name.ts';
import { channelOver } from './verified-channel.ts';
import { certificateOf, connectUnverified } from './verified-socket.ts';

/** A channel to a site, as Node and Deno open it: its certificate is judged before the socket is handed out. */
export function openSiteChannel(options: SiteOptions): Channel {
  const { host, authorities, judge } = options;
  // Once, for all connections: to read the certificates takes longer than a handshake.
  const secureContext = tls.createSecureContext({ ca: [...authorities], minVersion: 'TLSv1.2' });
  const servername = isIP(host) === 0 ? host.replace(/\.$/, '') : '';
  return channelOver(options, async (signal) => {
    // The runtime judges as it would with `rejectUnauthorized`; what it finds is asked for below.
    const socket = await connectUnverified(options, signal, { servername, secureContext });
    try {
      const presented = certificateOf(socket);
      const isVouchedFor = socket.authorized && isFor(new X509Certificate(presented.certificate), host);
      judge({ ...presented, isVouchedFor });
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });
}
