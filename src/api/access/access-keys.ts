import { createHash, timingSafeEqual } from 'node:crypto';
import { acceptedDigest } from '../../config/access-key.ts';
import { networkOf } from '../../protocol/addresses/address.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { type Logger, silentLogger } from '../../protocol/logger.ts';
import { createKeyNames } from '../audit/key-names.ts';
import { createFailureLimit } from './rate-limit.ts';

/**
 * Reads the caller's address; called only where it matters, since some servers are slow to say. An empty
 * address is unknown: it may be anyone's, and so counts for no source.
 */
interface Caller {
  readonly clientAddress: string;
  /** The request's id in the lines of the log. */
  readonly requestId?: string;
}

/** Checks the access keys of modules; made once from the configuration. */
export interface AccessKeys {
  /** Whether a module asks for a key. */
  guards(module: string): boolean;
  /**
   * Whether a key opens a module, or the module asks for none. It counts nothing: {@link AccessKeys.check}
   * must have passed for the key.
   */
  opens(module: string, key: string | undefined): boolean;
  /**
   * Passes when the module asks for no key, or `presented` returns one of its keys.
   * @throws BrokerError `access_denied`; `too_many_requests` for a source that has presented too many wrong
   * keys, even if it presents a right one now.
   */
  check(module: string, presented: () => string | undefined, caller: Caller): void;
  /**
   * Passes when `presented` returns a key of any of the modules that ask for one, or when none of them asks
   * for one. A refusal reveals the name of no module.
   * @param page the name of the page in the log.
   * @throws BrokerError as {@link AccessKeys.check} does.
   */
  checkAny(
    page: string,
    modules: readonly string[],
    presented: () => string | undefined,
    caller: Caller,
  ): void;
  /**
   * The holder that a limit per key counts a call for: its key, or its address without one; undefined where
   * the server does not say the address.
   */
  holderOf(module: string, presented: () => string | undefined, caller: Caller): string | undefined;
  /**
   * The name of the presented key in the audit trail; undefined without a key, and where the module asks for
   * none.
   */
  nameOf(module: string, presented: () => string | undefined): string | undefined;
}

/** Why a call was refused: it had no key, a wrong one, or its source has presented too many wrong ones. */
export type KeyRefusal = 'missing' | 'wrong' | 'limited';

/** The most wrong keys of one source within the window (security page, "brute force"). */
const limits = { perSource: 10, windowMs: 60_000, maxSources: 10_000 };

/**
 * Reads `_access_key` (a string, or a list of which any passes) of every module. An empty string asks for no
 * key, as in the original.
 * @param refused is called with each refused call.
 * @param nameKey returns a name of a key that does not reveal it.
 */
export function createAccessKeys(
  config: Readonly<Record<string, JsonObject>>,
  log: Logger = silentLogger,
  refused: (why: KeyRefusal) => void = () => undefined,
  nameKey: (key: string) => string = createKeyNames(),
): AccessKeys {
  const digests = new Map<string, Buffer[]>();
  for (const [module, options] of Object.entries(config)) {
    const keys = [options['_access_key'] ?? []]
      .flat()
      .filter((key): key is string => typeof key === 'string' && key !== '');
    if (keys.length > 0) digests.set(module, keys.map(acceptedDigest));
  }
  const failures = createFailureLimit(limits);

  const failed = (module: string, { clientAddress, requestId: request }: Caller): void => {
    const source = networkOf(clientAddress);
    if (source === '') {
      log.info('wrong access key', { module, request });
      return;
    }
    const now = performance.now();
    failures.fail(source, now);
    log.info('wrong access key', { module, source, request });
    if (failures.waitMs(source, now) > 0) log.warn('too many wrong access keys', { source });
  };

  /** @param asked what the log names: the module of the key, or a page that any of several keys opens. */
  const pass = (
    asked: { readonly module: string } | { readonly page: string },
    accepted: readonly Buffer[],
    present: () => string | undefined,
    caller: Caller,
  ): void => {
    // This comes before the key is checked. Otherwise a limited source could still tell a right guess from a
    // wrong one.
    if (failures.sources > 0) {
      const { clientAddress } = caller;
      const waitMs = failures.waitMs(networkOf(clientAddress), performance.now());
      if (waitMs > 0) {
        refused('limited');
        throw blocked(clientAddress, waitMs);
      }
    }
    const presented = present();
    if (presented === undefined || presented === '') {
      refused('missing');
      throw new BrokerError(
        'access_denied',
        'page' in asked
          ? 'An access key is asked for, and none was given'
          : `Module '${asked.module}' asks for an access key, and none was given`,
      );
    }
    if (matches(accepted, presented)) return;
    refused('wrong');
    failed('page' in asked ? asked.page : asked.module, caller);
    throw new BrokerError(
      'access_denied',
      'page' in asked
        ? "Incorrect access key: it opens no extension's calls"
        : `Incorrect access key for module '${asked.module}'`,
    );
  };

  return {
    guards: (module) => digests.has(module),
    opens(module, key) {
      const accepted = digests.get(module);
      return accepted === undefined || (key !== undefined && matches(accepted, key));
    },
    check(module, present, caller) {
      const accepted = digests.get(module);
      if (accepted) pass({ module }, accepted, present, caller);
    },
    checkAny(page, modules, present, caller) {
      const accepted = modules.flatMap((module) => digests.get(module) ?? []);
      if (accepted.length > 0) pass({ page }, accepted, present, caller);
    },
    holderOf(module, present, { clientAddress }) {
      if (digests.has(module)) return `key ${sha256(present() ?? '').toString('hex')}`;
      return clientAddress === '' ? undefined : `source ${networkOf(clientAddress)}`;
    },
    nameOf(module, present) {
      const key = digests.has(module) ? present() : undefined;
      return key === undefined || key === '' ? undefined : nameKey(key);
    },
  };
}

/**
 * All digests have one length, and every key is compared, so that the time reveals nothing about the keys.
 */
function matches(accepted: readonly Buffer[], presented: string): boolean {
  const digest = sha256(presented);
  return accepted.filter((key) => timingSafeEqual(key, digest)).length > 0;
}

function blocked(address: string, waitMs: number): BrokerError {
  const seconds = Math.ceil(waitMs / 1000);
  return new BrokerError(
    'too_many_requests',
    `Too many wrong access keys came from ${address}: try again in ${seconds} s`,
    { retryAfter: seconds },
  );
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
