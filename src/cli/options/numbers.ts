import { parseDuration } from '../../protocol/formats/duration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Arguments } from '../command.ts';
import { checkWhole } from './option-checks.ts';

/** `--if-revision` as a number. Throws `usage`. */
export function readRevision(args: Arguments): number | undefined {
  return readCount(args, 'if-revision');
}

/** An option that takes a whole number. Throws `usage`. */
export function readCount(
  args: Arguments,
  name: 'if-revision' | 'wait-count' | 'count' | 'after' | 'port',
): number | undefined {
  const text = args.text(name);
  if (text === undefined) return undefined;
  checkWhole(text, `--${name}`);
  if (name === 'port' && (Number(text) < 1 || Number(text) > 65_535)) {
    throw new BrokerError('usage', `Invalid --port '${text}': expected 1 to 65535`);
  }
  if (name === 'count' && Number(text) < 1)
    throw new BrokerError('usage', `Invalid --count '${text}': expected 1 or more`);
  return Number(text);
}

/**
 * The lifetime of `--ttl`, in milliseconds; `undefined` without it. It is checked before a broker is searched
 * for.
 * @throws BrokerError `usage` for one that is shorter than `leastMs`.
 */
export function readLifetime(args: Arguments, leastMs: number): number | undefined {
  const text = args.text('ttl');
  if (text === undefined) return undefined;
  const ms = parseDuration(text, '--ttl');
  if (ms >= leastMs) return ms;
  const least = leastMs < 1000 ? `${leastMs}ms` : `${leastMs / 1000}s`;
  throw new BrokerError('usage', `Invalid --ttl '${text}': expected ${least} or more`);
}
