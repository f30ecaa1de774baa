import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Follower } from './mirror/follower.ts';
import type { Freshness } from './mirror/freshness.ts';
import type { Gateway } from './gateway/gateway.ts';
import { encode, type Keys } from './keys.ts';
import type { StatusResponse } from './gateway/messages.ts';
import { resolveWithin } from '../../protocol/timeout.ts';

/**
 * Checks the cluster once a second: whether a majority answers, has room, and the watch's own member lives.
 */
export interface Health {
  /** Why nothing can be written, for people; undefined when writes work. */
  reason(): string | undefined;
  /**
   * Fails at once where the last check found no majority, so that callers do not wait for a known failure.
   * @throws BrokerError `unavailable`
   */
  check(): void;
  /** Notes that a write was refused because etcd is full. */
  full(): void;
  close(): void;
}

const EVERY_MS = 1000;
/** Longer than the election of a leader, in milliseconds. */
const MAJORITY_MS = 2500;
/** The longest time for the status of the watch's member, in milliseconds; after that another one is used. */
const STATUS_MS = 1500;

export function createHealth(setup: {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly freshness: Freshness;
  readonly follower: Follower;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}): Health {
  const { gateway, keys, freshness, follower, log } = setup;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;
  let trouble: string | undefined;
  let isFull = false;

  async function lookAtMajority(): Promise<void> {
    let found: string | undefined;
    const looking = freshness.now();
    try {
      const answer = await resolveWithin(MAJORITY_MS, looking);
      if (answer === undefined) found = `no majority of the etcd cluster answers within ${MAJORITY_MS} ms`;
    } catch (error) {
      found = `no majority of the etcd cluster can be reached: ${messageOf(error)}`;
    }
    if (found !== undefined) tell(found);
    // A late answer shows that it works again.
    const late = await looking.catch(() => undefined);
    tell(late === undefined ? found : undefined);
  }

  function tell(found: string | undefined): void {
    if (isClosed) return;
    if (found !== undefined && trouble === undefined) log('error', found);
    if (found === undefined && trouble !== undefined) log('info', 'the etcd cluster answers again');
    trouble = found;
  }

  async function lookAtMember(): Promise<void> {
    const { endpoint } = follower;
    if (endpoint === undefined) return;
    try {
      const deadline = performance.now() + STATUS_MS;
      const status = await gateway.askAt<StatusResponse>(endpoint, '/v3/maintenance/status', {}, deadline);
      isFull = (status.errors ?? []).some((text) => text.includes('NOSPACE'));
    } catch (error) {
      // A member that refuses its status lives: some versions of etcd tell it to the user root alone.
      if (error instanceof BrokerError && error.code !== 'unavailable') {
        if (isFull) isFull = !(await hasRoom());
        return;
      }
      // The member would not report the loss of its changes. A change of the member misses nothing.
      if (!isClosed && follower.endpoint === endpoint) follower.restart();
    }
  }

  /** Whether etcd takes a small write. It is the only sign of room where the alarms are not told. */
  async function hasRoom(): Promise<boolean> {
    const put = { key: keys.sync, value: encode('') };
    const writing = gateway.ask('/v3/kv/put', put, performance.now() + STATUS_MS);
    return await writing.then(
      () => true,
      () => false,
    );
  }

  async function run(): Promise<void> {
    await Promise.all([lookAtMajority(), lookAtMember()]);
    if (isClosed) return;
    timer = setTimeout(() => void run(), EVERY_MS);
    // Lets a process end that has nothing else left to do, where the platform has processes.
    (timer as { unref?(): unknown }).unref?.();
  }

  void run();
  return {
    reason() {
      if (trouble !== undefined) return trouble;
      if (isFull) return 'etcd has no room left: its NOSPACE alarm is raised';
      return follower.problem && `the changes of the registry do not arrive from etcd: ${follower.problem}`;
    },
    check() {
      if (trouble !== undefined)
        throw new BrokerError('unavailable', `The registry cannot be used now: ${trouble}`);
    },
    full() {
      isFull = true;
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
