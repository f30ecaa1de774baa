import { randomBytes } from 'node:crypto';
import { isObject } from '../../protocol/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Gateway } from './gateway.ts';
import type { Keys } from './keys.ts';
import { readOrMake } from './read-or-make.ts';
import type { Deadline } from './times.ts';

/** How the keys below the prefix are to be read. */
const LAYOUT = 1;

/**
 * The registry's id, which every broker over it has in common; made by the first of them.
 * @throws BrokerError `invalid_config` for what a later version has written, or somebody else.
 */
export async function readIdentity(gateway: Gateway, keys: Keys, deadline: Deadline): Promise<string> {
  return idIn(await readOrMake(gateway, keys.registry, makeIdentity, deadline));
}

function makeIdentity(): Promise<string> {
  return Promise.resolve(JSON.stringify({ id: randomBytes(8).toString('hex'), layout: LAYOUT }));
}

function idIn(text: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  const { id, layout } = isObject(parsed) ? parsed : {};
  if (typeof id !== 'string') {
    throw new BrokerError(
      'invalid_config',
      "The prefix in etcd holds something that is no registry of a broker; give '_store.prefix' one of its own, such as '/bpbroker/'",
    );
  }
  if (layout !== LAYOUT) {
    throw new BrokerError(
      'invalid_config',
      `The registry in etcd has layout ${JSON.stringify(layout)}; this version reads layout ${LAYOUT}: install the version that wrote it`,
    );
  }
  return id;
}
