import type { HostPort } from '../protocol/address.ts';
import { BrokerError } from '../protocol/errors.ts';
export async function locateBroker(..._: unknown[]): Promise<HostPort> {
  throw new BrokerError('unreachable', 'stub');
}
