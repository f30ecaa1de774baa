import { readFile, stat } from 'node:fs/promises';
import type { Json } from '../../../protocol/formats/data.ts';
import type { NetworkInterface } from '../../../runtime/network/interfaces.ts';
import { runtimeName } from '../../../runtime/name.ts';
import { VERSION } from '../../../protocol/version.ts';
import type { Check } from '../report.ts';

/** The name of this program, and its runtime and system. */
export function examineProgram(program: string): Check {
  const facts = {
    version: VERSION,
    runtime: runtimeName,
    platform: `${process.platform}-${process.arch}`,
    time: new Date().toISOString(),
  };
  return {
    id: 'program',
    status: 'ok',
    says: `${program} ${VERSION} (${runtimeName}, ${facts.platform})`,
    facts,
  };
}

/** The interfaces that queries leave by, with their destination addresses. */
export function examineInterfaces(
  chosen: readonly NetworkInterface[],
  wanted: readonly string[],
  present: readonly NetworkInterface[],
): Check {
  const facts = {
    limited_to: [...wanted],
    interfaces: present.map(({ name, loopback, ipv4, ipv6 }): Json => ({
      name,
      used: chosen.some((one) => one.name === name),
      loopback,
      bridge: bridgeOf(name) ?? null,
      ipv4: ipv4.map(({ address, netmask, broadcast }): Json => ({
        address,
        netmask,
        broadcast: broadcast ?? null,
      })),
      ipv6: [...ipv6],
    })),
  };
  const named = wanted.length > 0 ? ` (of those given: ${wanted.join(', ')})` : '';
  const out = chosen.filter(({ loopback }) => !loopback);
  if (chosen.length === 0) {
    return {
      id: 'interfaces',
      status: 'fail',
      says: `none is up${named}`,
      facts,
      problem: {
        cause: 'no_interface',
        message: `No network interface is up that brokers could be asked on${named}.`,
        advice: 'Bring an interface up, or leave --interface (BPBROKER_INTERFACES) out.',
        where: 'here',
      },
    };
  }
  if (out.length === 0)
    return {
      id: 'interfaces',
      status: 'warn',
      says: `loopback alone${named}: only this host is asked`,
      facts,
    };
  return { id: 'interfaces', status: 'ok', says: out.map(describe).join(', ') + named, facts };
}

function describe({ name, ipv4, linkLocal }: NetworkInterface): string {
  const to = ipv4.flatMap(({ broadcast }) => broadcast ?? []);
  const bridge = bridgeOf(name);
  const ways = [...to, ...(linkLocal === undefined ? [] : ['IPv6 multicast'])];
  return `${name}${bridge === undefined ? '' : ` (${bridge})`} to ${ways.join(' and ') || 'no broadcast address'}`;
}

const bridges: readonly (readonly [RegExp, string])[] = [
  [/^docker\d+$|^br-[0-9a-f]{12}$/, 'Docker bridge'],
  [/^podman\d+$|^cni-podman\d+$/, 'Podman bridge'],
  [/^cni\d+$|^flannel|^cali|^weave|^cilium|^kube-/, 'Kubernetes'],
  [/^veth/, 'link to a container'],
  [/^virbr\d+$|^vnet\d+$/, 'virtual machines'],
  [/^lx[cd]br\d+$/, 'LXC bridge'],
];

/** What an interface leads to, if its name shows that it does not lead to a network of other hosts. */
function bridgeOf(name: string): string | undefined {
  return bridges.find(([pattern]) => pattern.test(name))?.[1];
}

/** Whether this is a container: its broadcasts may end at its own host. */
export async function examineContainer(
  present: readonly NetworkInterface[],
): Promise<Check & { isInside: boolean }> {
  const inside = await containerKind();
  const around = present.map(({ name }) => name).filter((name) => bridgeOf(name) !== undefined);
  const facts = { inside: inside ?? null, bridges: around };
  const base = { id: 'container', isInside: inside !== undefined, facts } as const;
  if (inside !== undefined)
    return {
      ...base,
      status: 'warn',
      says: `this is a ${inside} container: on a network of its own, broadcasts end at its host`,
    };
  if (around.length > 0)
    return { ...base, status: 'ok', says: `not in one; bridges to some: ${around.join(', ')}` };
  return process.platform === 'linux'
    ? { ...base, status: 'ok', says: 'not in one, and no bridge to one' }
    : { ...base, status: 'skip', says: 'only Linux tells' };
}

async function containerKind(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  if (process.env['KUBERNETES_SERVICE_HOST']) return 'Kubernetes';
  if (await exists('/.dockerenv')) return 'Docker';
  if (await exists('/run/.containerenv')) return 'Podman';
  // Only for process 1: elsewhere a variable of that name may mean anything.
  const environ = await readFile('/proc/1/environ', 'utf8').catch(() => '');
  return environ
    .split('\0')
    .find((line) => line.startsWith('container='))
    ?.slice('container='.length);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

const proxyVariables = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'HTTP_PROXY', 'http_proxy'];

/** Proxies in the environment. Their addresses are shown without user and password. */
export function examineProxy(env: Readonly<Record<string, string | undefined>> = process.env): Check {
  const found = proxyVariables.flatMap((name) =>
    env[name] ? [`${name}=${withoutUser(env[name] ?? '')}`] : [],
  );
  if (found.length === 0) return { id: 'proxy', status: 'ok', says: 'none in the environment' };
  return {
    id: 'proxy',
    status: 'ok',
    says: `${found.join(', ')}: not used, brokers are reached directly`,
    facts: { variables: found },
  };
}

function withoutUser(value: string): string {
  return value.replace(/^([a-z0-9+.-]+:\/\/)?.*@/i, '$1');
}
