/** The packets to, or from, one port. */
export interface Packets {
  readonly protocol: 'udp' | 'tcp';
  /** Which of the two ports of a packet it is. */
  readonly end: 'dport' | 'sport';
  readonly port: number;
}

/** A chain of nftables that decides about packets of this host. */
export interface Chain {
  /** Family and name of its table, `inet filter`. */
  readonly table: string;
  readonly name: string;
  readonly hook: 'input' | 'output';
  readonly policy: 'accept' | 'drop';
  readonly rules: readonly string[];
}

/**
 * The chains that packets of IPv4 to and from this host pass first, from the output of `nft list ruleset`. A
 * broker that IPv6 alone cannot reach works.
 */
export function readChains(ruleset: string): Chain[] {
  const chains: Chain[] = [];
  let table = '';
  let open: { name: string; hook?: string; policy?: string; rules: string[] } | undefined;
  for (const line of ruleset.split('\n').map((text) => text.trim())) {
    const [, ofTable] = /^table (\S+ \S+) \{$/.exec(line) ?? [];
    const [, name] = /^chain (\S+) \{$/.exec(line) ?? [];
    const [, hook, policy = 'accept'] = /^type filter hook (\w+) [^;]*;(?: policy (\w+);)?/.exec(line) ?? [];
    if (ofTable !== undefined) table = ofTable;
    else if (name !== undefined) open = { name, rules: [] };
    else if (open && hook !== undefined) open = { ...open, hook, policy };
    else if (line === '}') {
      if (open && /^(?:ip|inet) /.test(table) && (open.hook === 'input' || open.hook === 'output'))
        chains.push({
          table,
          name: open.name,
          hook: open.hook,
          policy: open.policy === 'drop' ? 'drop' : 'accept',
          rules: open.rules,
        });
      open = undefined;
    } else if (open && line !== '') open.rules.push(line);
  }
  return chains;
}

/**
 * Why a chain drops packets: the rule, or its policy. `undefined` when it lets them pass, or when that is
 * unknown.
 */
export function dropsBy({ policy, rules }: Chain, packets: Packets): string | undefined {
  for (const rule of rules) {
    const said = judge(rule, packets);
    if (said === 'drop') return rule;
    // Other chains, and rules for some of the packets, may decide otherwise: do not guess.
    if (said === 'accept' || said === 'unknown') return undefined;
  }
  return policy === 'drop' ? 'policy drop' : undefined;
}

type Said = 'accept' | 'drop' | 'none' | 'unknown';

/** What one rule does with new packets of this kind. */
function judge(rule: string, { protocol, end, port }: Packets): Said {
  const [, before = '', verdict = ''] =
    /^(.*?)\b(accept|drop|reject|jump|goto|return|queue)\b[^"]*$/.exec(withoutAsides(rule)) ?? [];
  if (verdict === '') return 'none';
  // Of a map, the match has only the first verdict. A map of connection states decides nothing about new
  // packets.
  if (/\bvmap\b/.test(before) && !/\bct state vmap\b/.test(before)) return 'unknown';
  let rest = before.trim();
  let isOf = true;
  const take = (pattern: RegExp, fits: (...groups: string[]) => boolean): void => {
    rest = rest.replace(pattern, (_all, ...groups: string[]) => {
      isOf &&= fits(...groups);
      return '';
    });
  };
  // Only ports in numbers are understood. A named set, a map or a negation stays in `rest`, and makes it a
  // rule for some packets.
  take(/\b(udp|tcp|th) (dport|sport) (\{[^}]*\}|\d\S*)/, (of = '', which = '', ports = '') => {
    return (of === 'th' || of === protocol) && which === end && holds(ports, port);
  });
  take(/\b(?:meta l4proto|ip protocol) (\{[^}]*\}|\S+)/, (names = '') => listed(names).includes(protocol));
  // A new connection has neither of these states; nor has the answer to a broadcast.
  take(/\bct state (\{[^}]*\}|\S+)/, (states = '') => listed(states).includes('new'));
  take(/\biif(?:name)? "?lo"?/, () => false);
  if (!isOf) return 'none';
  const isAll = rest.trim() === '';
  if (verdict === 'drop' || verdict === 'reject') return isAll ? 'drop' : 'none';
  if (verdict === 'accept' && isAll) return 'accept';
  return verdict === 'return' && isAll ? 'none' : 'unknown';
}

/** The rule without counters, comments and log prefixes, which decide nothing. */
function withoutAsides(rule: string): string {
  return rule
    .replaceAll(/"[^"]*"/g, (text) => (text === '"lo"' ? text : '""'))
    .replaceAll(/\b(?:comment|log prefix) ""|\bcounter(?: packets \d+ bytes \d+)?|\blog\b/g, '')
    .replaceAll(/ {2,}/g, ' ');
}

function listed(names: string): string[] {
  return names.split(/[{},\s]+/).filter(Boolean);
}

function holds(ports: string, port: number): boolean {
  return listed(ports).some((part) => {
    const [from = '', to = from] = part.split('-');
    return Number(from) <= port && port <= Number(to);
  });
}
