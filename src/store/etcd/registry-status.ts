import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { migrationNotice, migrationProblem, type Identity, identityOf } from './identity.ts';
import { type KeyValue, modRevisionOf } from './gateway/messages.ts';

/** The registry's identity as this store knows it, and whether the registry may be used. */
export interface RegistryStatus {
  /** Empty until {@link RegistryStatus.begin}. */
  readonly id: string;
  /** The registry's revision minus etcd's. */
  readonly offset: number;
  /**
   * etcd's revision of the write of `m/registry` that opened the registry. Every write compares it, so none
   * succeeds after it was closed.
   */
  readonly mod: number;
  /** Why the registry may not be used, for callers; undefined while it may. The log has more details. */
  readonly problem: string | undefined;
  /** etcd's revision at which the registry was closed, during a migration out of etcd; else undefined. */
  readonly leftAt: number | undefined;
  /** Whether the registry was moved, or another one replaced it: this store must not follow it any longer. */
  readonly isOver: boolean;
  /** @throws BrokerError `invalid_config` for a registry that is closed. */
  begin(identity: Identity): void;
  /**
   * Takes over the value of `m/registry`, or its removal, at a revision of etcd. The calls may come in any
   * order; the latest revision counts.
   */
  take(kv: KeyValue | undefined, at: number): void;
  /** @throws BrokerError `unavailable` where the registry may not be used. */
  check(): void;
}

interface Found {
  /** Why the registry may not be used, for callers; undefined while it may. */
  readonly notice?: string;
  /** The same for the log; default: the notice. */
  readonly detail?: string;
}

const REPLACED = 'another registry has replaced it in etcd: restart the broker';
const LOST = 'the registry in etcd was removed: put it back, or restart the broker to begin an empty one';

export function createRegistryStatus(
  log: (level: 'info' | 'error', message: string) => void,
): RegistryStatus {
  let identity: Identity = { id: '', offset: 0, mod: 0 };
  let mod = 0;
  /** The latest reported revision. */
  let latest = 0;
  let problem: string | undefined;
  let logged: string | undefined;
  /**
   * A later registry at this place is another one, whatever its content: its changes have not been followed.
   */
  let isOver = false;
  let leftAt: number | undefined;

  function tell({ notice, detail = notice }: Found): void {
    problem = notice;
    if (detail === logged) return;
    logged = detail;
    if (detail !== undefined) log('error', `the registry cannot be used: ${detail}`);
    else log('info', 'the registry can be used again');
  }

  function problemOf(kv: KeyValue): Found {
    try {
      const now = identityOf(kv);
      const isSame = now.id === identity.id && now.offset === identity.offset;
      isOver ||= !isSame || (now.closed !== undefined && now.closed.state !== 'moving');
      if (now.closed?.state === 'moving') leftAt = now.mod;
      if (now.closed) return { notice: migrationNotice(now.closed), detail: migrationProblem(now.closed) };
      return isOver ? { notice: REPLACED } : {};
    } catch (error) {
      return { notice: messageOf(error) };
    }
  }

  return {
    get id() {
      return identity.id;
    },
    get offset() {
      return identity.offset;
    },
    get mod() {
      return mod;
    },
    get problem() {
      return problem;
    },
    get leftAt() {
      return leftAt;
    },
    get isOver() {
      return isOver;
    },
    begin(found) {
      if (found.closed) {
        const notice = migrationNotice(found.closed);
        tell({ notice, detail: migrationProblem(found.closed) });
        throw new BrokerError('invalid_config', `Cannot use the registry in etcd: ${notice}`);
      }
      tell({});
      identity = found;
      ({ mod } = found);
      latest = mod;
    },
    take(kv, at) {
      const written = kv ? modRevisionOf(kv) : at;
      if (written <= latest) return;
      latest = written;
      leftAt = undefined;
      const found = kv ? problemOf(kv) : { notice: LOST };
      if (found.notice === undefined) mod = written;
      tell(found);
    },
    check() {
      if (problem !== undefined) {
        throw new BrokerError('unavailable', `The registry cannot be used now: ${problem}`);
      }
    },
  };
}
