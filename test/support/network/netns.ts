import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { atEnd } from '../cleanup.ts';
import { killIfThere, removeNamespace } from '../teardown.ts';
import { waitFor } from '../wait.ts';
import { run, type RunOptions, type RunResult } from '../programs/run.ts';

/**
 * Several hosts on one machine: each a network namespace, joined by bridges that stand in a namespace of their own, so
 * that nothing can leave the machine. Linux, root and `ip` are needed: see {@link netnsProblem}.
 *
 * @example
 * ```ts
 * const net = await createNetwork({ hosts: { a: ['10.77.1.1/24'], b: ['10.77.1.2/24', '10.77.2.2/24'], c: ['10.77.2.3/24'] } });
 * const broker = net.spawn('a', ['bpbroker', 'start']);
 * const { stdout } = await net.run('b', ['bpclient', 'discover', '--name', 'foo']);
 * await net.close();
 * ```
 */
export interface NetworkOptions {
  /**
   * The addresses of each host. `10.77.1.1/24` puts it on the bridge of 10.77.1.0/24; `10.77.1.1/24@lan` on a bridge of
   * that name; `lan` alone joins that bridge without an address, so with IPv6 link-local only. Each bridge is one
   * interface of the host: `eth0`, `eth1` and so on, in order. There are no routes but those of the subnets.
   */
  readonly hosts: Readonly<Record<string, readonly string[]>>;
  /** Further routes of a host, as `ip route add` takes them: `default via 10.77.1.254`. */
  readonly routes?: Readonly<Record<string, readonly string[]>>;
  /** Hosts that forward packets between their bridges. */
  readonly routers?: readonly string[];
  /** Whether interfaces get IPv6 link-local addresses; default false, so that IPv4 cannot hide behind them. */
  readonly ipv6?: boolean;
}

export interface Network {
  /** The namespace of a host. */
  namespaceOf(host: string): string;
  /** Starts a program on a host; it is killed when the network is closed. */
  spawn(host: string, command: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Runs a program on a host to its end. Throws when it has not ended by the timeout (30 s). */
  run(host: string, command: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs `ip ARGS` for a host; throws when that fails. */
  ip(host: string, ...args: string[]): void;
  /** Kills what runs and removes the hosts. Happens by itself when the tests of this file have ended. */
  close(): Promise<void>;
}

let networks = 0;

/** Why networks of namespaces cannot be made here, or nothing when they can. For `skip`. */
export function netnsProblem(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const probe = `bpt-${process.pid}-probe`;
  const added = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' });
  if (added.error) return "network namespaces need the program 'ip'";
  if (added.status !== 0) return `network namespaces are not allowed here: ${added.stderr.trim()}`;
  spawnSync('ip', ['netns', 'delete', probe]);
  return undefined;
}

export async function createNetwork(options: NetworkOptions): Promise<Network> {
  removeAbandoned();
  const prefix = `bpt-${process.pid}-${++networks}`;
  const namespaceOf = (host: string): string => `${prefix}-${host}`;
  const namespaces = ['switch', ...Object.keys(options.hosts)].map(namespaceOf);
  const children = new Set<ChildProcess>();
  let open = true;
  const removeAll = (): void => {
    if (!open) return;
    open = false;
    for (const child of children) child.kill('SIGKILL');
    for (const namespace of namespaces) removeNamespace(namespace);
  };
  atEnd(removeAll);
  try {
    for (const namespace of namespaces) ip('netns', 'add', namespace);
    build(options, namespaceOf);
    for (const host of Object.keys(options.hosts)) {
      const up = (): boolean => isUp(namespaceOf(host), options.ipv6 ?? false);
      await waitFor(`the links of ${host} to come up`, up);
    }
  } catch (error) {
    removeAll();
    throw error;
  }
  const inside = (host: string, command: readonly string[]): [string, ...string[]] => {
    if (!Object.hasOwn(options.hosts, host)) throw new Error(`No host '${host}' in this network`);
    return ['ip', 'netns', 'exec', namespaceOf(host), ...command];
  };
  return {
    namespaceOf,
    spawn(host, command, spawnOptions = {}) {
      if (!open) throw new Error('The network has been closed');
      const [file, ...args] = inside(host, command);
      const child = spawn(file, args, spawnOptions);
      children.add(child);
      child.once('close', () => children.delete(child));
      return child;
    },
    run: (host, command, runOptions) => run(inside(host, command), runOptions),
    ip: (host, ...args) => void ip('-n', namespaceOf(host), ...args),
    async close() {
      const ending = [...children].map((child) => once(child, 'close'));
      removeAll();
      await Promise.all(ending);
    },
  };
}

/** Ends what programs have left running on a host, such as a detached broker. */
export function endAllOn(net: Network, host: string): void {
  for (const pid of ip('netns', 'pids', net.namespaceOf(host)).split('\n').filter(Boolean))
    killIfThere(Number(pid));
}

interface Port {
  readonly bridge: string;
  readonly addresses: string[];
}

function build(options: NetworkOptions, namespaceOf: (host: string) => string): void {
  const { hosts, routes = {}, routers = [], ipv6 = false } = options;
  const center = namespaceOf('switch');
  const bridges: string[] = [];
  const bridgeName = (bridge: string): string => {
    if (!bridges.includes(bridge)) {
      bridges.push(bridge);
      ip('-n', center, 'link', 'add', `br${bridges.length - 1}`, 'type', 'bridge');
      ip('-n', center, 'link', 'set', `br${bridges.length - 1}`, 'up');
    }
    return `br${bridges.indexOf(bridge)}`;
  };
  setIpv6(center, false);
  for (const [index, [host, places]] of Object.entries(hosts).entries()) {
    const namespace = namespaceOf(host);
    setIpv6(namespace, ipv6);
    if (routers.includes(host)) set(namespace, 'ipv4/ip_forward', '1');
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    for (const [n, { bridge, addresses }] of portsOf(places).entries()) {
      const [near, far] = [`eth${n}`, `p${index}x${n}`];
      const peer = ['peer', 'name', far, 'netns', center];
      ip('link', 'add', near, 'netns', namespace, 'type', 'veth', ...peer);
      ip('-n', center, 'link', 'set', far, 'master', bridgeName(bridge), 'up');
      for (const address of addresses) ip('-n', namespace, 'address', 'add', address, 'dev', near);
      ip('-n', namespace, 'link', 'set', near, 'up');
    }
    for (const route of routes[host] ?? []) ip('-n', namespace, 'route', 'add', ...route.split(' '));
  }
}

function portsOf(places: readonly string[]): Port[] {
  const ports: Port[] = [];
  for (const place of places) {
    const [address = '', name] = place.includes('/') ? place.split('@') : ['', place];
    const bridge = name ?? subnetOf(address);
    const port = ports.find((existing) => existing.bridge === bridge) ?? { bridge, addresses: [] };
    if (!ports.includes(port)) ports.push(port);
    if (address !== '') port.addresses.push(address);
  }
  return ports;
}

/** `10.77.1.0/24` for `10.77.1.5/24`. */
function subnetOf(address: string): string {
  const [host = '', bits = '32'] = address.split('/');
  if (host.includes(':')) throw new Error(`'${address}' needs the name of its bridge: '${address}@NAME'`);
  const value = host.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return `${Math.floor(value / size) * size}/${bits}`;
}

/** Without duplicate address detection an address can be used as soon as it is there. */
function setIpv6(namespace: string, on: boolean): void {
  for (const scope of ['all', 'default']) {
    set(namespace, `ipv6/conf/${scope}/disable_ipv6`, on ? '0' : '1');
    set(namespace, `ipv6/conf/${scope}/accept_dad`, '0');
  }
}

function set(namespace: string, key: string, value: string): void {
  const script = `echo ${value} > /proc/sys/net/${key}`;
  const { status, stderr } = spawnSync('ip', ['netns', 'exec', namespace, 'sh', '-c', script], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`Cannot set ${key} in ${namespace}: ${stderr}`);
}

/** The system takes up to a second to see that both ends of a link are there. */
function isUp(namespace: string, ipv6: boolean): boolean {
  const links = ip('-n', namespace, '-brief', 'address').split('\n');
  return links
    .filter((line) => line.startsWith('eth'))
    .every((line) => /^\S+\s+UP\b/.test(line) && (!ipv6 || line.includes(' fe80:')));
}

function ip(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Removes the namespaces of test runs that were killed before they could. */
function removeAbandoned(): void {
  let names: string[] = [];
  try {
    names = readdirSync('/run/netns');
  } catch {
    return;
  }
  for (const name of names) {
    const pid = /^bpt-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) removeNamespace(name);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
