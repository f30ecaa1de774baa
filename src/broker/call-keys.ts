import { randomBytes } from 'node:crypto';
import type { Access } from '../extensions/loaded-extension.ts';
import { formatAddress, hostOnItself } from '../protocol/addresses/address.ts';
import type { AccessKeys } from '../api/access/access-keys.ts';
import { BrokerError } from '../protocol/errors.ts';

/**
 * Keys for the programs that the broker runs as extensions: each is valid only for the registry and for one
 * call.
 */
export interface CallKeys {
  /**
   * Makes a key, with the variables that lead `bpclient` to this broker. Before the broker listens there are
   * no variables, since an app mounted elsewhere does not know its address.
   */
  give(address: OwnAddress | undefined): Access;
  /** Accepts the keys besides those of the configuration. */
  amend(keys: AccessKeys): AccessKeys;
}

/** The address that a broker listens on. */
export interface OwnAddress {
  /** `api.listen_ip`. */
  readonly listenIp: string;
  readonly port: number;
  /** SHA-256 of its certificate, 64 hex digits. */
  readonly fingerprint: string;
}

const MODULE = 'services';

/** How many keys of calls that are over are known as such. */
const MAX_ENDED = 1000;

/** @param onEnd called when a key is no longer good: what it has opened may still be open. */
export function createCallKeys(onEnd: () => void): CallKeys {
  const valid = new Set<string>();
  const ended = new Set<string>();
  // What a call has left behind comes once more with its key. That is no guess, and must not count as one.
  const refuseEnded = (key: string | undefined): void => {
    if (key !== undefined && ended.has(key))
      throw new BrokerError('access_denied', 'The call that this access key was made for is over');
  };
  return {
    give(address) {
      if (!address) return { env: {}, revoke: () => undefined };
      const key = randomBytes(32).toString('hex');
      valid.add(key);
      const env = {
        BPBROKER: formatAddress({ host: hostOnItself(address.listenIp), port: address.port }),
        BPBROKER_ACCESS_KEY: key,
        BPBROKER_FINGERPRINT: `sha256:${address.fingerprint}`,
      };
      const revoke = (): void => {
        valid.delete(key);
        ended.add(key);
        // The oldest, which a set has first.
        const [oldest = ''] = ended;
        if (ended.size > MAX_ENDED) ended.delete(oldest);
        onEnd();
      };
      return { env, revoke };
    },
    amend: (keys) => ({
      ...keys,
      check(module, presented, caller) {
        // The lookup is by hash: its time reveals nothing about how near a guess is.
        if (valid.size > 0 && module === MODULE && valid.has(presented() ?? '')) return;
        if (ended.size > 0 && keys.guards(module)) refuseEnded(presented());
        keys.check(module, presented, caller);
      },
      checkAny(page, modules, presented, caller) {
        if (valid.size > 0 && modules.includes(MODULE) && valid.has(presented() ?? '')) return;
        if (ended.size > 0 && modules.some((module) => keys.guards(module))) refuseEnded(presented());
        keys.checkAny(page, modules, presented, caller);
      },
      opens: (module, key) =>
        (module === MODULE && key !== undefined && valid.has(key)) || keys.opens(module, key),
      nameOf: (module, presented) =>
        valid.size > 0 && module === MODULE && valid.has(presented() ?? '')
          ? 'extension'
          : keys.nameOf(module, presented),
    }),
  };
}
