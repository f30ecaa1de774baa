/** Chooses the member of the cluster for a request. */
export interface Endpoints {
  /** The member that has answered last, unless it has failed since; then the next one. */
  pick(): string;
  /** Notes that it answered. */
  praise(endpoint: string): void;
  /** Notes that it failed: the others come first for a while. */
  blame(endpoint: string): void;
  readonly count: number;
}

/** The longest time that a failed member is avoided while another one works, in milliseconds. */
const REST_MS = 5000;

/** @param endpoints URLs without a path, in the order of preference. */
export function createEndpoints(endpoints: readonly string[]): Endpoints {
  const members = [...new Set(endpoints)].map((url) => ({ url, restsUntil: -Infinity }));
  let current = 0;

  const memberOf = (endpoint: string): (typeof members)[number] | undefined =>
    members.find(({ url }) => url === endpoint);

  return {
    count: members.length,
    pick() {
      const now = performance.now();
      const order = members.map((_, i) => (current + i) % members.length);
      const rested = order.find((i) => (members[i]?.restsUntil ?? 0) <= now);
      // All have failed: the one with the oldest failure.
      const next =
        rested ??
        order.toSorted((a, b) => (members[a]?.restsUntil ?? 0) - (members[b]?.restsUntil ?? 0))[0] ??
        0;
      current = next;
      return members[next]?.url ?? '';
    },
    praise(endpoint) {
      const member = memberOf(endpoint);
      if (member) member.restsUntil = -Infinity;
    },
    blame(endpoint) {
      const member = memberOf(endpoint);
      if (member) member.restsUntil = performance.now() + REST_MS;
    },
  };
}
