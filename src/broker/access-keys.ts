import { createHash, timingSafeEqual } from 'node:crypto';
import type { JsonObject } from '../protocol/data.ts';
import { BrokerError } from '../protocol/errors.ts';

/** Checks the access keys of modules; made once from the configuration. */
export interface AccessKeys {
  /** Throws `access_denied` unless the module asks for no key, or what `presented` gives is one of its keys. */
  check(module: string, presented: () => string | undefined): void;
}

/**
 * Reads `_access_key` (a string, or a list of which any passes) of every module. An empty string asks for no key, as in
 * the original.
 */
export function createAccessKeys(config: Readonly<Record<string, JsonObject>>): AccessKeys {
  const digests = new Map<string, Buffer[]>();
  for (const [module, options] of Object.entries(config)) {
    const keys = [options['_access_key'] ?? []]
      .flat()
      .filter((key): key is string => typeof key === 'string' && key !== '');
    if (keys.length > 0)
      digests.set(
        module,
        keys.map((key) => sha256(key)),
      );
  }
  return {
    check(module, present) {
      const accepted = digests.get(module);
      if (!accepted) return;
      const presented = present();
      if (presented === undefined || presented === '') {
        throw new BrokerError(
          'access_denied',
          `Module '${module}' asks for an access key, and none was given`,
        );
      }
      // Digests have one length, and every key is compared, so that time tells nothing about the keys.
      const digest = sha256(presented);
      const matches = accepted.filter((key) => timingSafeEqual(key, digest));
      if (matches.length === 0)
        throw new BrokerError('access_denied', `Incorrect access key for module '${module}'`);
    },
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
