import { BrokerError } from '../../../protocol/errors.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { LeaseGrantResponse, LeaseKeepAliveResponse, StreamMessage } from '../gateway/messages.ts';
import { singleFlight } from '../mirror/single-flight.ts';
import type { Deadline } from '../promises.ts';

/**
 * Lifetimes. Every entry has its own lease, since the renewal of a shared one would renew all its entries.
 * Renewals at the same time are sent as one request.
 */
export interface Leases {
  /** Grants a new lease; etcd counts whole seconds, at least 2 with its defaults. */
  grant(ttlMs: number, deadline: Deadline): Promise<string>;
  /** Starts a lease again; false where it has ended. */
  renew(lease: string): Promise<boolean>;
  /**
   * Milliseconds until a lease ends, in whole seconds; undefined where it has ended. Any number of callers at
   * once, such as the waiting clients of one entry, cost at most two requests.
   */
  left(lease: string): Promise<number | undefined>;
  /**
   * Ends a lease without a key. It would end by itself, so nothing waits for this, and a failure does no
   * harm.
   */
  drop(lease: string): void;
  /** Resolves once no request is in progress. */
  settled(): Promise<unknown>;
}

/**
 * The renewals in one request. More hardly help: etcd stops reading a request once it has begun to answer it.
 */
const PER_REQUEST = 16;
/** The number of such requests at once. */
const REQUESTS = 8;
/** The longest lifetime that etcd accepts, in seconds. */
const MAX_TTL_SECONDS = 9_000_000_000;
const DROP_MS = 2000;

export function createLeases(gateway: Gateway, timeoutMs: number): Leases {
  let waiting = new Map<string, ((renewed: boolean) => void)[]>();
  const dropping = new Set<Promise<unknown>>();
  /** The running requests for the rest of a lease. */
  const asking = new Map<string, { readonly ask: () => Promise<number | undefined>; askers: number }>();

  const renewAll = singleFlight(async () => {
    const batch = waiting;
    waiting = new Map();
    const leases = [...batch.keys()];
    const renew = async (from: number): Promise<void> => {
      for (let at = from; at < leases.length; at += REQUESTS * PER_REQUEST) {
        const some = leases.slice(at, at + PER_REQUEST);
        const alive = await keepAlive(some);
        for (const lease of some) for (const tell of batch.get(lease) ?? []) tell(alive.has(lease));
      }
    };
    await Promise.all(Array.from({ length: REQUESTS }, (_, i) => renew(i * PER_REQUEST)));
  });

  /** The leases among these that have not ended. */
  async function keepAlive(leases: readonly string[]): Promise<Set<string>> {
    const deadline = performance.now() + timeoutMs;
    const alive = new Set<string>();
    let left = leases;
    while (left.length > 0) {
      const answers = await gateway.askMany<StreamMessage<LeaseKeepAliveResponse>>(
        '/v3/lease/keepalive',
        left.map((ID) => ({ ID })),
        deadline,
      );
      const results = answers.flatMap(({ result }) => (result ? [result] : []));
      if (results.length === 0 || performance.now() > deadline) {
        const reason = answers.find(({ error }) => error)?.error?.message ?? 'the answer is too short';
        throw new BrokerError('unavailable', `etcd did not renew every lifetime: ${reason}`);
      }
      for (const { ID, TTL } of results) if (Number(TTL ?? 0) > 0) alive.add(ID);
      const answered = new Set(results.map(({ ID }) => ID));
      left = left.filter((lease) => !answered.has(lease));
    }
    return alive;
  }

  async function timeToLive(lease: string): Promise<number | undefined> {
    const deadline = performance.now() + timeoutMs;
    const question = { ID: lease };
    const { TTL = '0' } = await gateway.ask<{ TTL?: string }>('/v3/lease/timetolive', question, deadline);
    return Number(TTL) > 0 ? Number(TTL) * 1000 : undefined;
  }

  return {
    async grant(ttlMs, deadline) {
      const TTL = Math.min(MAX_TTL_SECONDS, Math.max(1, Math.ceil(ttlMs / 1000)));
      return (await gateway.ask<LeaseGrantResponse>('/v3/lease/grant', { TTL }, deadline)).ID;
    },
    async renew(lease) {
      let renewed = false;
      const told = (isAlive: boolean): void => {
        renewed = isAlive;
      };
      waiting.set(lease, [...(waiting.get(lease) ?? []), told]);
      await renewAll();
      return renewed;
    },
    async left(lease) {
      const asked = asking.get(lease) ?? { ask: singleFlight(() => timeToLive(lease)), askers: 0 };
      asking.set(lease, asked);
      asked.askers++;
      try {
        return await asked.ask();
      } finally {
        if (--asked.askers === 0) asking.delete(lease);
      }
    },
    drop(lease) {
      const done = gateway
        .ask('/v3/lease/revoke', { ID: lease }, performance.now() + DROP_MS)
        .catch(() => undefined)
        .finally(() => dropping.delete(done));
      dropping.add(done);
    },
    settled: () => Promise.all(dropping),
  };
}
