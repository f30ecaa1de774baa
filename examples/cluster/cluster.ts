import type { ExtensionRequest } from 'bpbroker';
import { readFile, rename, writeFile } from 'node:fs/promises';

/**
 * Runs on a cluster's master and hands out its nodes' numbers. It keeps them in a file in the form of /etc/hosts, which it
 * gives to every node: `10.0.0.7 db-2 node2`.
 *
 * Options of the module: `"cluster": { "_access_key": "…", "hosts": "/etc/cluster-hosts" }`.
 */

/** Adds the calling host under the name given as data, or finds it there; answers `{"number": 2, "name": …, "address": …}`. */
export async function AddNode(request: ExtensionRequest): Promise<Node> {
  const { data: name, clientAddress: address } = request;
  if (typeof name !== 'string' || !/^[a-z\d][a-z\d.-]{0,62}$/i.test(name)) {
    throw failure(400, `Invalid node name ${JSON.stringify(name)}: expected a host name`);
  }
  return request.withLock('hosts', async () => {
    const nodes = await nodesOf(request);
    const present = nodes.find((node) => node.name === name);
    // An installer that runs a second time gets the same answer.
    if (present?.address === address) return present;
    if (present) throw failure(409, `Node '${name}' is at ${present.address}, not at ${address}`);
    const added = { number: nodes.length + 1, name, address };
    await write(fileOf(request), [...nodes, added]);
    request.log.info(`node ${added.number} is ${name} at ${address}`);
    return added;
  });
}

/** The file, for the nodes' own /etc/hosts. */
export async function Hosts(request: ExtensionRequest): Promise<string> {
  return (await nodesOf(request)).map(lineOf).join('');
}

interface Node {
  readonly number: number;
  readonly name: string;
  readonly address: string;
}

function fileOf({ config }: ExtensionRequest): string {
  const { hosts } = config;
  if (typeof hosts === 'string') return hosts;
  throw new Error("cluster.hosts is missing in the broker's configuration: the file that lists the nodes");
}

async function nodesOf(request: ExtensionRequest): Promise<Node[]> {
  const text = await readFile(fileOf(request), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = [...text.matchAll(/^(\S+) (\S+) node(\d+)$/gm)];
  return lines.map(([, address = '', name = '', number]) => ({ number: Number(number), name, address }));
}

function lineOf({ number, name, address }: Node): string {
  return `${address} ${name} node${number}\n`;
}

async function write(file: string, nodes: readonly Node[]): Promise<void> {
  await writeFile(`${file}.new`, nodes.map(lineOf).join(''));
  await rename(`${file}.new`, file);
}

function failure(status: number, message: string): Error {
  return Object.assign(new Error(message), { status });
}
