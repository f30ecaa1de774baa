import { execFile } from 'node:child_process';
import type { Json } from '../../../protocol/formats/data.ts';
import { type Chain, dropsBy, type Packets, readChains } from './nft.ts';
import type { Check } from '../report.ts';

/** The packets of bpbroker that this host's own firewall is known to drop. */
export interface Firewall {
  readonly check: Check;
  /** Finds the rule that drops packets of this kind; `undefined` when none is known. */
  drops(hook: Chain['hook'], packets: Packets): Drop | undefined;
}

export interface Drop {
  /** For people: the table, the chain and the rule. */
  readonly place: string;
  /** A command that lets the packets through. */
  readonly command: string;
}

/** Time limit of the program that lists the rules, in milliseconds. */
const LIST_MS = 2000;
/** Longest list of rules that is read, in bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Reads the rules, if this system and user can. */
export async function examineFirewall(port: number, ms: number): Promise<Firewall> {
  const listed = await listRules(Math.min(ms, LIST_MS));
  if ('skip' in listed)
    return { check: { id: 'firewall', status: 'skip', says: listed.skip }, drops: () => undefined };
  const chains = readChains(listed.rules);
  const drops: Firewall['drops'] = (hook, packets) => {
    for (const chain of chains) {
      if (chain.hook !== hook) continue;
      const by = dropsBy(chain, packets);
      if (by !== undefined) return describe(chain, by, packets);
    }
    return undefined;
  };
  const found = (['udp', 'tcp'] as const).flatMap((protocol) => [
    ...say(
      drops('input', { protocol, end: 'dport', port }),
      `${protocol.toUpperCase()} ${port} to this host`,
    ),
    ...say(drops('output', { protocol, end: 'dport', port }), `${protocol.toUpperCase()} ${port} to others`),
  ]);
  const answers = drops('input', { protocol: 'udp', end: 'sport', port });
  found.push(...say(answers, `answers of brokers to broadcasts (from UDP ${port})`));
  const facts = {
    chains: chains.map((chain): Json => `${chain.table} ${chain.name} (${chain.hook})`),
    drops: found,
  };
  if (found.length > 0)
    return { check: { id: 'firewall', status: 'warn', says: `drops ${found.join('; ')}`, facts }, drops };
  const says =
    chains.length === 0
      ? 'nftables has no rules for this host'
      : `no rule of ${count(chains.length, 'chain')} is known to drop port ${port}`;
  return { check: { id: 'firewall', status: 'ok', says, facts }, drops };
}

function say(drop: Drop | undefined, what: string): string[] {
  return drop === undefined ? [] : [`${what}, by ${drop.place}`];
}

function describe({ table, name, hook }: Chain, by: string, { protocol, end, port }: Packets): Drop {
  return {
    place: `nftables ${table} ${name}: ${by}`,
    command: commandFor(table, name, hook, `${protocol} ${end} ${port}`, `${port}/${protocol}`),
  };
}

/**
 * The command that lets the packets through. firewalld must add the rule itself, since it removes rules of
 * other programs.
 */
function commandFor(
  table: string,
  chain: string,
  hook: Chain['hook'],
  match: string,
  service: string,
): string {
  if (table.endsWith(' firewalld') && hook === 'input') return `firewall-cmd --add-port=${service}`;
  return `nft insert rule ${table} ${chain} ${match} accept`;
}

async function listRules(ms: number): Promise<{ rules: string } | { skip: string }> {
  if (process.platform === 'win32')
    return {
      skip: "Windows' firewall is not looked at; 'bpbroker install-service --firewall' opens its port",
    };
  if (process.platform !== 'linux') return { skip: 'the firewall of this system is not looked at' };
  const listed = await run('nft', ['list', 'ruleset'], ms);
  if (listed.code === 'ENOENT') return { skip: 'the program nft is not here, so its rules are not known' };
  if (listed.code === 0) return { rules: listed.stdout };
  if (process.getuid?.() !== 0) return { skip: 'only root may read its rules' };
  return { skip: `its rules could not be read: ${listed.stderr.trim().split('\n')[0] ?? ''}` };
}

interface Ran {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], ms: number): Promise<Ran> {
  const options = {
    timeout: Math.max(1, Math.round(ms)),
    killSignal: 'SIGKILL',
    maxBuffer: MAX_BYTES,
    // The PATH of a user other than root may lack the folders of such programs.
    env: { ...process.env, LC_ALL: 'C', PATH: searchPath(process.env['PATH']) },
  } as const;
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve({
        code: error ? (error.code ?? 'killed') : 0,
        stdout,
        stderr: stderr || (error?.message ?? ''),
      });
    });
  });
}

/**
 * Where programs are searched for. An empty entry would be the current folder, where anybody may have put an
 * `nft`.
 */
export function searchPath(path: string | undefined): string {
  return [...(path ?? '').split(':').filter(Boolean), '/usr/sbin', '/sbin'].join(':');
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
