/** Which member of the cluster to ask. */
export interface Endpoints {
  /** The one that has answered last, unless it has failed since; then the next one. */
  pick(): string;
  /** It answered. */
  praise(endpoint: string): void;
  /** It did not: the others are asked first for a while. */
  blame(endpoint: string): void;
  readonly count: number;
}

/** Longest that one which has failed is left out while another works. */
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
      // All have failed: the one whose failure is the oldest.
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
