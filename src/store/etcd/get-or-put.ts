import type { Gateway } from './gateway/gateway.ts';
import { decode, encode } from './keys.ts';
import type { RangeResponse, TxnResponse } from './gateway/messages.ts';
import type { Deadline } from './promises.ts';

/** The text of a key. A missing key gets the result of `make`, unless another caller is faster. */
export async function getOrPut(
  gateway: Gateway,
  key: string,
  make: () => Promise<string>,
  deadline: Deadline,
): Promise<string> {
  const present = await gateway.ask<RangeResponse>('/v3/kv/range', { key }, deadline);
  const [found] = present.kvs ?? [];
  if (found) return decode(found.value ?? '');
  const made = await make();
  const txn = {
    compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: 0 }],
    success: [{ request_put: { key, value: encode(made) } }],
    failure: [{ request_range: { key } }],
  };
  // A repeated request finds the value that the first one has written.
  const { succeeded, responses } = await gateway.ask<TxnResponse>('/v3/kv/txn', txn, deadline);
  return succeeded ? made : decode(responses?.[0]?.response_range?.kvs?.[0]?.value ?? '');
}
