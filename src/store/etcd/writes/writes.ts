import { randomBytes } from 'node:crypto';
import type { Entry } from '../../../protocol/registry/entry.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import { stateOf } from '../../memory/new-entry.ts';
import type { Quota } from '../../memory/quota.ts';
import { sizeOf } from '../../memory/entry-size.ts';
import type { Guard, Mutation, MutationResult, NewEntry } from '../../store.ts';
import { type Asked, askedNow, giveBack } from './asked.ts';
import { decide, type Decision } from './decision.ts';
import { decodeEntry } from '../entry-value.ts';
import { grpcOf, isFull, NOT_FOUND } from '../gateway/failures.ts';
import type { Fence } from './fence.ts';
import type { Freshness } from '../mirror/freshness.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Keys } from '../keys.ts';
import type { Leases } from './leases.ts';
import { revisionOf, type TxnResponse } from '../gateway/messages.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { outcomeUnknown, tooContended } from './refusals.ts';
import type { RegistryStatus } from '../registry-status.ts';
import { type Deadline, pause } from '../promises.ts';
import { foundBy, transactionOf, type Write } from './transaction.ts';
import { createNameQueues, type QueuedResult } from './name-queues.ts';
import { createSpareLease } from './spare-lease.ts';
import { createWriteQueue } from './write-queue.ts';

export interface Writes {
  /**
   * As {@link file://../../store.ts}.
   * @throws also BrokerError `outcome_unknown` where etcd's answer was lost and its outcome is unknown.
   */
  mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult>;
  /** Called when the watch reports this write, at a revision of etcd. */
  seen(id: string, revision: number): void;
}

export interface WritesOptions {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly mirror: Mirror;
  readonly status: RegistryStatus;
  readonly leases: Leases;
  readonly fence: Fence;
  readonly freshness: Freshness;
  readonly quota: Quota;
  readonly timeoutMs: number;
  /** @throws BrokerError where it is known that nothing can be written now. */
  readonly check: () => void;
  /** Called when etcd has refused a write because it has no room. */
  readonly onFull: () => void;
}

/**
 * The number of transactions at once. More are no faster, and each has its own connection, of which runtimes keep about as many.
 */
const AT_ONCE = 64;

/** How often one write is tried again because the entry had changed. */
const MAX_TRIES = 50;
/** The longest pause between two tries, in milliseconds. */
const MAX_PAUSE_MS = 100;
/** The pause while the lease of an entry has ended and etcd has not removed the entry yet, in milliseconds. */
const ENDING_MS = 50;
/** The least time for finding out the outcome of a lost answer, in milliseconds. */
const SETTLE_MS = 2000;
/** The longest wait of a completed write until the mirror has it, in milliseconds. */
const ARRIVAL_MS = 1000;

/** A state of an entry, with its lease. */
interface State {
  readonly entry: Entry | undefined;
  readonly lease: string | undefined;
  /** etcd's revision of its key; 0 where the entry does not exist. */
  readonly mod: number;
  /** The registry's revision of this state. */
  readonly revision: number;
  /** It was the present state at this moment or later. */
  readonly since: number;
  /** The guarding entry, in the same state of the registry. */
  readonly guarding?: Guarding | undefined;
}

/** A guarding entry, with etcd's revision of its key. */
interface Guarding {
  readonly entry: Entry;
  readonly mod: number;
}

/** The outcome of one attempt to write. All but the first changed nothing, and will not. */
type Tried =
  /** `revision` is etcd's. */
  | { readonly kind: 'done'; readonly revision: number }
  | { readonly kind: 'changed'; readonly state: Omit<State, 'since'> }
  | { readonly kind: 'no_room' | 'no_lease' }
  | { readonly kind: 'not_done'; readonly error: unknown };

export function createWrites(options: WritesOptions): Writes {
  const { gateway, keys, mirror, status, leases, fence, freshness, quota, timeoutMs } = options;
  const { index, progress } = mirror;
  const queues = createNameQueues<State>();
  const queue = createWriteQueue(AT_ONCE);
  /** Writes without an answer yet. */
  const underWay = new Map<string, { revision: number | undefined }>();

  /** The state in the mirror, which may be behind. */
  function stateNow(name: string, guard?: Pick<Guard, 'name'>): State {
    const entry = index.get(name);
    const other = guard && index.get(guard.name);
    return {
      ...(other && { guarding: { entry: other, mod: mirror.modOf(other) } }),
      entry,
      lease: entry && mirror.leaseOf(entry),
      mod: entry ? mirror.modOf(entry) : 0,
      revision: index.revision,
      since: -Infinity,
    };
  }

  /** @throws BrokerError where nothing can be written any more. */
  function takeTurn(asked: Asked, waitedMs: number): void {
    giveBack(asked, waitedMs);
    // A failure that others have met meanwhile need not be met again.
    if (waitedMs > 0) options.check();
  }

  async function mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult> {
    const asked = askedNow(timeoutMs, guard);
    // Earlier requests are visible to a guard too.
    if (guard && guard.name !== name) {
      await queues.settled(guard.name);
      takeTurn(asked, performance.now() - asked.began);
    }
    for (;;) {
      // A mutation that changes nothing must see earlier requests too.
      if (queues.isBusy(name) || decide(name, mutation, stateNow(name, guard), guard).changes) {
        const queued = performance.now();
        const done = await queues.run(name, async (known) => {
          takeTurn(asked, performance.now() - queued);
          return await write(name, mutation, asked, known);
        });
        if (done) return done();
      }
      // Nothing changes, but that must be true for the present state.
      await freshness.fresh();
      const state = stateNow(name, guard);
      const decision = decide(name, mutation, state, guard);
      if (!decision.changes) {
        const { lease } = state;
        const isRenewal =
          !('error' in decision) && decision.outcome.action === 'renew' && lease !== undefined;
        if (!isRenewal || (await leases.renew(lease))) return unchanged(decision, state);
        await pause(ENDING_MS);
      }
      if (performance.now() >= asked.deadline) throw tooContended(name);
    }
  }

  /**
   * Writes the decision of the mutation. Without a write, it returns the mutation's result for a state that the entry had since the
   * mutation was asked for; undefined for a renewal.
   * @param known the knowledge of the write before it.
   */
  async function write(
    name: string,
    mutation: Mutation,
    asked: Asked,
    known: State | undefined,
  ): Promise<QueuedResult<(() => MutationResult) | undefined, State>> {
    const { guard } = asked;
    // The knowledge of the write before it does not include a guarding entry.
    let state = (guard ? undefined : known) ?? stateNow(name, guard);
    const spare = createSpareLease(leases);
    let isMarked = true;
    let trouble: unknown = tooContended(name);
    try {
      for (let tries = 0; tries < MAX_TRIES && performance.now() < asked.deadline; tries++) {
        const decision = decide(name, mutation, state, guard);
        if (!decision.changes) {
          const isRenewal = !('error' in decision) && decision.outcome.action === 'renew';
          if (isRenewal) return { value: undefined, known: state };
          const present = state;
          if (state.since >= asked.began)
            return { value: () => unchanged(decision, present), known: present };
          const since = performance.now();
          await freshness.fresh();
          state = { ...stateNow(name, guard), since };
          continue;
        }
        const { outcome } = decision;
        const entry = outcome.action === 'put' ? outcome.entry : undefined;
        const expired = outcome.action === 'delete' && outcome.expired === true;
        const { entry: current, mod: replaced, guarding } = state;
        const { lease, since, result } = await queue.run(asked.patienceMs, async (waitedMs) => {
          takeTurn(asked, waitedMs);
          if (entry) check(name, entry, current);
          const own = entry?.ttlMs === undefined ? undefined : await spare.take(entry.ttlMs, asked.deadline);
          const attempt = {
            name,
            current: replaced,
            id: newId(),
            next: entry && { entry, lease: own },
            expired,
            isMarked,
            guard:
              guard && guard.name !== name ? { name: guard.name, current: guarding?.mod ?? 0 } : undefined,
          };
          const sent = performance.now();
          return { lease: own, since: sent, result: await tryOnce(attempt, asked.deadline) };
        });
        switch (result.kind) {
          case 'done': {
            const { revision: mod } = result;
            const revision = mod + status.offset;
            if (lease !== undefined) spare.letGo();
            if (state.lease !== undefined) leases.drop(state.lease);
            await progress.reach(mod, ARRIVAL_MS);
            const made = entry && stateOf(name, entry)(revision);
            return {
              value: () => (made ? { entry: made, revision } : { revision }),
              known: { entry: made, lease, mod: made ? mod : 0, revision, since },
            };
          }
          case 'changed':
            state = { ...result.state, since };
            if (tries > 1) await pause(Math.random() * Math.min(MAX_PAUSE_MS, 2 ** tries));
            break;
          case 'no_room':
            isMarked = false;
            break;
          case 'no_lease':
            spare.letGo();
            break;
          case 'not_done':
            trouble = result.error;
            tries--;
            await pause(Math.random() * MAX_PAUSE_MS);
            break;
        }
      }
      throw trouble;
    } catch (error) {
      // The entry that may have been written may need it.
      if (error instanceof BrokerError && error.code === 'outcome_unknown') spare.letGo();
      throw error;
    } finally {
      spare.drop();
    }
  }

  /** @throws BrokerError for an entry that cannot be stored. */
  function check(name: string, next: NewEntry, current: Entry | undefined): void {
    stateOf(name, next);
    quota.admit(name, sizeOf({ name, data: next.data }), current === undefined ? 0 : index.bytesOf(name));
  }

  async function tryOnce(attempt: Write, deadline: Deadline): Promise<Tried> {
    const sent = { revision: undefined as number | undefined };
    underWay.set(attempt.id, sent);
    const { fillings } = mirror;
    try {
      const body = transactionOf(keys, attempt, fence, status);
      const answer = await gateway.once<TxnResponse>('/v3/kv/txn', body, deadline);
      if (answer.succeeded) return { kind: 'done', revision: revisionOf(answer.header) };
      const found = foundBy(answer);
      fence.found(found.fence);
      const present = revisionOf(answer.header);
      status.take(found.registry, present);
      status.check();
      const { offset } = status;
      const { entry, lease, mod } = found.kv ? decodeEntry(attempt.name, found.kv, offset) : nothing;
      const guarding = found.guard && decodeEntry(attempt.guard?.name ?? '', found.guard, offset);
      return { kind: 'changed', state: { entry, lease, mod, revision: present + offset, guarding } };
    } catch (error) {
      if (isFull(error)) {
        options.onFull();
        if (attempt.next === undefined && attempt.isMarked) return { kind: 'no_room' };
      }
      if (grpcOf(error) === NOT_FOUND) return { kind: 'no_lease' };
      const { code } = error as { code?: unknown };
      if (code === 'unavailable') return { kind: 'not_done', error };
      if (code !== 'outcome_unknown') throw error;
      await settle(sent, fillings, error, deadline);
      const { revision } = sent;
      return revision === undefined
        ? { kind: 'changed', state: stateNow(attempt.name, attempt.guard) }
        : { kind: 'done', revision };
    } finally {
      underWay.delete(attempt.id);
    }
  }

  /** Resolves once it is certain whether a write was done, and that it will not be done later. */
  async function settle(
    sent: { readonly revision: number | undefined },
    fillings: number,
    cause: unknown,
    deadline: Deadline,
  ): Promise<void> {
    const until = Math.max(deadline, performance.now() + SETTLE_MS);
    try {
      const raised = await fence.raise(until);
      const isComplete = await progress.reach(raised, until - performance.now());
      if (isComplete && mirror.fillings === fillings) return;
    } catch (error) {
      if (sent.revision === undefined) throw outcomeUnknown(cause, error);
    }
    if (sent.revision === undefined) throw outcomeUnknown(cause, undefined);
  }

  return {
    mutate,
    seen(id, revision) {
      const sent = underWay.get(id);
      if (sent) sent.revision = revision;
    },
  };
}

const nothing = { entry: undefined, lease: undefined, mod: 0 };

/**
 * The result of a mutation that changes nothing.
 * @throws BrokerError: its refusal.
 */
function unchanged(
  decision: Exclude<Decision, { changes: true }>,
  { entry, revision }: State,
): MutationResult {
  if ('error' in decision) throw decision.error;
  return entry ? { entry, revision } : { revision };
}

/** An id that no other write of any broker has. */
function newId(): string {
  return randomBytes(9).toString('base64url');
}
