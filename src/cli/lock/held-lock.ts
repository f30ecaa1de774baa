import type { HeldLock } from '../../client/registry/registry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Arguments } from '../command.ts';

/** The variables in which `lock` names its lock to its command. */
export const LOCK_NAME_VARIABLE = 'BPBROKER_LOCK_NAME';
export const LOCK_REVISION_VARIABLE = 'BPBROKER_LOCK_REVISION';

/**
 * The lock of a write with `--if-locked`; `undefined` without that option.
 * @throws BrokerError `usage` when the variables do not name one.
 */
export function readHeldLock(
  args: Arguments,
  env: Readonly<Record<string, string | undefined>> = process.env,
): HeldLock | undefined {
  if (!args.flag('if-locked')) return undefined;
  const name = env[LOCK_NAME_VARIABLE];
  const revision = env[LOCK_REVISION_VARIABLE] ?? '';
  if (!name)
    throw new BrokerError(
      'usage',
      `--if-locked needs the variable ${LOCK_NAME_VARIABLE}, which lock sets for its command`,
    );
  if (!/^\d{1,15}$/.test(revision))
    throw new BrokerError(
      'usage',
      `--if-locked needs a whole number in the variable ${LOCK_REVISION_VARIABLE}, got '${revision}'`,
    );
  return { name, revision: Number(revision) };
}
