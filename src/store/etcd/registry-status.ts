import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { migrationNotice, migrationProblem, type Identity, identityOf } from './identity.ts';
import { type KeyValue, modRevisionOf } from './gateway/messages.ts';

/** What this store knows of the registry's identity, and whether the registry may be used. */
export interface RegistryStatus {
  /** Empty until {@link RegistryStatus.begin}. */
  readonly id: string;
  /** What a revision of the registry has above etcd's. */
  readonly offset: number;
  /** etcd's revision in which `m/registry` was written that opened the registry: every write compares it, so that none is done after it was closed. */
  readonly mod: number;
  /** Why the registry may not be used, for callers; nothing while it may. The log is told more. */
  readonly problem: string | undefined;
  /** etcd's revision from which on the registry has been closed, for as long as it is on its way out; else nothing. */
  readonly leftAt: number | undefined;
  /** The registry went elsewhere, or another took its place: this store is to follow it no more. */
  readonly isOver: boolean;
  /** @throws BrokerError `invalid_config` for a registry that is closed. */
  begin(identity: Identity): void;
  /** Takes over what `m/registry` holds, or that it is gone, as of a revision of etcd. Told in any order, the latest counts. */
  take(kv: KeyValue | undefined, at: number): void;
  /** Throws `unavailable` where the registry may not be used. */
  check(): void;
}

interface Found {
  /** Why the registry may not be used, for callers; nothing while it may. */
  readonly notice?: string;
  /** The same for the log; default: the notice. */
  readonly detail?: string;
}

const REPLACED = 'another registry has taken its place in etcd: restart the broker';
const LOST = 'the registry in etcd was removed: put it back, or restart the broker to begin an empty one';

export function createRegistryStatus(
  log: (level: 'info' | 'error', message: string) => void,
): RegistryStatus {
  let identity: Identity = { id: '', offset: 0, mod: 0 };
  let mod = 0;
  /** The latest revision that was reported. */
  let latest = 0;
  let problem: string | undefined;
  let logged: string | undefined;
  /** What comes after that is another registry, whatever it looks like: its changes were not followed as such. */
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
