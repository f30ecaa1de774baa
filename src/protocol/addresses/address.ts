import { BrokerError } from '../errors.ts';

/** The port of the API (TCP) and of discovery (UDP), unless another is given. */
export const DEFAULT_PORT = 20443;

/** The address of a broker. */
export interface HostPort {
  /** A host name or an IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Whether a text names a broker by URL (see `broker-url.ts`) and not by address. */
export function isUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

/**
 * Reads `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`. A bare IPv6 address is a host too.
 * @param what names the text in the message.
 * @throws BrokerError `usage` for any other text.
 */
export function parseAddress(text: string, what: string, defaultPort: number = DEFAULT_PORT): HostPort {
  const address = readAddress(text, defaultPort);
  if (address) return address;
  throw new BrokerError(
    'usage',
    `Invalid ${what} '${text}': expected HOST or HOST:PORT (IPv6 in brackets), port 1 to 65535`,
  );
}

/** As {@link parseAddress}, but returns undefined for a text that is not an address. */
export function readAddress(text: string, defaultPort: number = DEFAULT_PORT): HostPort | undefined {
  const bracketed = /^\[([0-9a-fA-F:.]+(?:%[^\s\]/%]+)?)\](?::(\d{1,5}))?$/.exec(text);
  const bare = /^[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F.]*(?:%[^\s\]/%]+)?$/.exec(text);
  const named = /^([\w.-]+)(?::(\d{1,5}))?$/.exec(text);
  const host = bracketed?.[1] ?? (bare ? text : named?.[1]);
  const port = Number(bracketed?.[2] ?? (bare ? undefined : named?.[2]) ?? defaultPort);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/**
 * An address in one spelling, so that two spellings of it compare equal. Names are in lower case and without
 * their final dot. IPv4 has four decimal numbers, also where it is mapped into IPv6. IPv6 has the form of RFC
 * 5952, with its zone as it is. Names are not resolved: `localhost` is not `127.0.0.1`.
 */
export function canonicalAddress({ host, port }: HostPort): HostPort {
  const [address = '', zone = ''] = host.split(/(?=%)/);
  const plain = canonicalHost(address);
  return { host: plain.includes(':') ? plain + zone : plain, port };
}

function canonicalHost(host: string): string {
  const bare = host.toLowerCase().replace(/\.+$/, '');
  const inUrl = bare.includes(':') ? `[${bare}]` : bare;
  // The URL standard has the rules for the forms of IP addresses.
  if (!URL.canParse(`http://${inUrl}`)) return bare;
  const { hostname } = new URL(`http://${inUrl}`);
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname.replaceAll(/[[\]]/g, '');
  const bytes = [high, low].flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]);
  return bytes.join('.');
}

/** `HOST:PORT`, with IPv6 in brackets: the form that {@link parseAddress} reads, and URLs too. */
export function formatAddress({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Where a broker is reached from its own host.
 * @param listenIp its `api.listen_ip`: `''` and `'::'` are every address, `'0.0.0.0'` every IPv4 one.
 */
export function hostOnItself(listenIp: string): string {
  return ['', '::', '0.0.0.0'].includes(listenIp) ? '127.0.0.1' : listenIp;
}

/**
 * An address in the form that entries record: an IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) becomes
 * the IPv4 address.
 */
export function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/**
 * The source that a limit counts an address for. An IPv4 address is its own source. The source of an IPv6
 * address is its /64 with its zone, since a host can choose any address of it. Any other text is returned
 * unchanged.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const [groups = '', zone = ''] = address.toLowerCase().split(/(?=%)/);
  const [head = '', tail] = groups.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  // A dotted end fills two groups.
  const given = before.length + after.length + (groups.includes('.') ? 1 : 0);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - given);
  const all = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  const prefix = all.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${prefix.join(':')}::/64${zone}`;
}
