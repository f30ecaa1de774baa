import type { Call } from '../../modules/module.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { ipVersion } from '../../protocol/addresses/ip.ts';

/** Names under which a page of any broker's own may have been fetched; an attacker can point neither at one. */
const commonNames: readonly string[] = ['localhost', 'bpbroker'];

/**
 * Refuses a call that a browser makes for a page which is not the broker's own: that page could ride on the network
 * position of whoever looks at it (cross-site request forgery), also by GET, which the original's clients change state with.
 * Browsers say where a request comes from in `Origin` and `Sec-Fetch-Site`, old ones in `Referer` alone; programs send none
 * of them and pass.
 *
 * A page of the broker's own was fetched from an IP address or one of its own names. Any other name may be an attacker's
 * that was pointed at this broker a moment ago (DNS rebinding). `Host` alone decides nothing, so proxies may set it freely.
 * @param ownNames host names that only this broker has, besides.
 * @throws BrokerError `forbidden`.
 */
export function refuseForeignPage(call: Pick<Call, 'header'>, ownNames: readonly string[] = []): void {
  const site = call.header('sec-fetch-site');
  const origin = call.header('origin') ?? (site === undefined ? originOf(call.header('referer')) : undefined);
  if (origin === undefined && site === undefined) return;
  const ownSite = site === undefined || site === 'same-origin' || site === 'none';
  const host = call.header('host')?.toLowerCase() ?? '';
  const isOwn = hasOwnName(host, ownNames);
  const ownOrigin = origin === undefined ? site === 'none' || isOwn : isOwn && isOf(origin, host);
  if (ownSite && ownOrigin) return;
  throw new BrokerError(
    'forbidden',
    `A web page of ${origin === undefined ? 'another site' : `'${origin}'`} may not call this broker`,
  );
}

/** The origin of the page that a browser without `Sec-Fetch-Site` names; one that cannot be read is nobody's own. */
function originOf(referer: string | undefined): string | undefined {
  if (referer === undefined || referer === '') return undefined;
  try {
    return new URL(referer).origin;
  } catch {
    return 'null';
  }
}

function isOf(origin: string, host: string): boolean {
  return origin.toLowerCase() === `https://${host}`;
}

function hasOwnName(host: string, ownNames: readonly string[]): boolean {
  const name = host.replace(/:\d+$/, '');
  const isNamed = [...commonNames, ...ownNames].some((own) => own.toLowerCase() === name);
  return isNamed || ipVersion(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}
