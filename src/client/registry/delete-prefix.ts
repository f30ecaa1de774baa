import { isObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { ClientCount } from './answers.ts';
import { leadsOn, MAX_LISTED, noEnd } from './paging.ts';
import type { CallParams, Rpc } from '../connection/rpc.ts';

/** Removes all entries under a prefix, batch by batch. Returns how many there were. */
export async function deletePrefix(
  rpc: Pick<Rpc, 'call'>,
  prefix: string,
  lock: CallParams,
): Promise<ClientCount> {
  if (typeof prefix !== 'string' || prefix === '')
    throw new BrokerError(
      'usage',
      'deletePrefix: expected a prefix that is not empty, since that would be every entry',
    );
  let count = 0;
  let after: string | undefined;
  for (;;) {
    const envelope = await rpc.call('services', 'Delete', { prefix, after, ...lock });
    const { data, revision } = isObject(envelope) ? envelope : {};
    const { deleted, next } = isObject(data) ? data : {};
    if (typeof deleted !== 'number')
      throw new BrokerError('internal', 'The answer does not say how many entries were deleted');
    count += deleted;
    if (typeof next !== 'string') return { count, revision: typeof revision === 'number' ? revision : 0 };
    if (!leadsOn(next, after)) throw noEnd(`a page that does not advance, after '${next.slice(0, 80)}'`);
    if (count > MAX_LISTED) throw noEnd(`more than ${MAX_LISTED} entries to delete`);
    after = next;
  }
}
