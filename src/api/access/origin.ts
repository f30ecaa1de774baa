import type { Call } from '../../modules/module.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { ipVersion } from '../../protocol/addresses/ip.ts';

/**
 * Names under which a page of any broker may have been fetched; an attacker can point none of them at another
 * host.
 */
const commonNames: readonly string[] = ['localhost', 'bpbroker'];

/**
 * Refuses a call that a browser makes for a page of another site. That page could use the network position of
 * its reader (cross-site request forgery), also by GET, with which the original's clients change state.
 * Browsers name the page in `Origin` and `Sec-Fetch-Site`, old ones only in `Referer`. Programs send none of
 * them and pass.
 *
 * A page of the broker was fetched from an IP address or one of its own names. An attacker may have pointed
 * any other name at this broker a moment ago (DNS rebinding). `Host` alone decides nothing, so proxies may
 * set it freely.
 * @param ownNames more host names that belong to this broker only.
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

/**
 * The origin of the page that a browser without `Sec-Fetch-Site` names; an unreadable one counts as another
 * site.
 */
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
