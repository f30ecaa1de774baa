import type { ExtensionRequest } from 'bpbroker';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Registers agents with an OSSEC server: its installer runs `execute --method ossec.AddAgent --data "$(hostname)"` on the
 * agent's host, and puts what that prints into the agent's own `client.keys`.
 *
 * Options of the module, in the broker's configuration:
 *   "ossec": { "_access_key": "…", "dir": "/var/ossec", "restart": ["/var/ossec/bin/ossec-control", "restart"] }
 * `dir`: where OSSEC is installed; default /var/ossec. `restart`: a command that makes the server read its keys anew;
 * default none, since a server that runs notices the change by itself.
 */

/** A line of `client.keys`: `001 web1 10.0.0.5 KEY`. */
interface Agent {
  readonly id: string;
  readonly name: string;
  readonly ip: string;
  readonly key: string;
}

/** Adds the calling host under the name given as data; answers its line. 409 where name or address is taken. */
export async function AddAgent(request: ExtensionRequest): Promise<string> {
  const name = hostName(request);
  const ip = request.clientAddress;
  const line = await request.withLock('client.keys', async () => {
    const file = await keysFile(request);
    const agents = agentsIn(file.text);
    const taken = agents.find((agent) => agent.name === name || agent.ip === ip);
    if (taken) {
      const what = taken.name === name ? `name '${name}'` : `address ${ip}`;
      throw failure(409, `The ${what} is taken by agent ${taken.id} (${taken.name}, ${taken.ip})`);
    }
    // 256 bits, in the form of OSSEC's own keys.
    const added = `${nextId(file.text)} ${name} ${ip} ${randomBytes(32).toString('hex')}`;
    const before = file.text === '' || file.text.endsWith('\n') ? file.text : `${file.text}\n`;
    await replaceFile(file.path, `${before}${added}\n`);
    return added;
  });
  await restart(request);
  return line;
}

/** Removes the agent of the name given as data. Its line stays, marked as OSSEC marks it, so that its id is not used again. */
export async function RemoveAgent(request: ExtensionRequest): Promise<void> {
  const name = hostName(request);
  await request.withLock('client.keys', async () => {
    const file = await keysFile(request);
    const agent = agentsIn(file.text).find((candidate) => candidate.name === name);
    if (!agent) throw failure(404, `No agent '${name}'`);
    const mark = (line: string): string =>
      parse(line)?.name === name ? line.replace(` ${name} `, ` #*#*#${name} `) : line;
    await replaceFile(file.path, file.text.split('\n').map(mark).join('\n'));
  });
  await restart(request);
}

/** All agents, without their keys. */
export async function ListAgents(request: ExtensionRequest): Promise<Omit<Agent, 'key'>[]> {
  const { text } = await keysFile(request);
  return agentsIn(text).map(({ id, name, ip }) => ({ id, name, ip }));
}

/** The name must fit into a line, and must not look like a mark: what OSSEC itself takes. */
function hostName({ data }: ExtensionRequest): string {
  if (typeof data === 'string' && /^[A-Za-z0-9][\w.-]{1,127}$/.test(data)) return data;
  const given = JSON.stringify(data).slice(0, 80);
  throw failure(400, `Invalid host name ${given}: expected 2 to 128 letters, digits, '.', '-' or '_'`);
}

async function keysFile({ config }: ExtensionRequest): Promise<{ path: string; text: string }> {
  const { dir = '/var/ossec' } = config;
  if (typeof dir !== 'string' || !path.isAbsolute(dir)) {
    throw new Error(
      `ossec.dir in the broker's configuration: expected an absolute path, got ${JSON.stringify(dir)}`,
    );
  }
  const file = path.join(dir, 'etc', 'client.keys');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    // A server that has no agent yet; but without its folder there is no server.
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return { path: file, text };
}

/** The agents that count: a removed one has a mark before its name (`!`, or `#*#*#`), or before its whole line. */
function agentsIn(text: string): Agent[] {
  return text
    .split('\n')
    .map(parse)
    .filter((agent) => agent !== undefined)
    .filter(({ name }) => !/^[!#]/.test(name));
}

function parse(line: string): Agent | undefined {
  const [, id = '', name = '', ip = '', key = ''] = /^(\d+) (\S+) (\S+) (\S+)\s*$/.exec(line) ?? [];
  return id === '' ? undefined : { id, name, ip, key };
}

/** One more than the highest there ever was: the server keeps message counters by id, also of removed agents. */
function nextId(text: string): string {
  const ids = [...text.matchAll(/^[!#*]*(\d+) /gm)].map(([, id]) => Number(id));
  return String(Math.max(0, ...ids) + 1).padStart(3, '0');
}

/** Replaces a file whole, or not at all; owner and mode stay, since OSSEC reads it as a user of its own. */
async function replaceFile(file: string, text: string): Promise<void> {
  const present = await stat(file).catch(() => undefined);
  const staged = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const handle = await open(staged, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    const made = await handle.stat();
    if (present && (made.uid !== present.uid || made.gid !== present.gid)) {
      await handle.chown(present.uid, present.gid);
    }
    await handle.chmod(present ? present.mode & 0o777 : 0o640);
    await handle.sync();
    await rename(staged, file);
  } finally {
    await handle.close();
    await rm(staged, { force: true });
  }
}

/**
 * Restarts the server. A failure is only logged, and the call succeeds: the key is as good as any, and the
 * caller could not ask for it again.
 */
async function restart({ config, withLock, log }: ExtensionRequest): Promise<void> {
  const { restart: command = [] } = config;
  if (!Array.isArray(command))
    throw new Error(`ossec.restart: expected a list, the program and its arguments`);
  const [program, ...args] = command.map(String);
  if (program === undefined) return;
  await withLock('restart', async () => {
    const problem = await new Promise<string | undefined>((resolve) => {
      execFile(program, args, (error, stdout, stderr) =>
        resolve(error ? `${error.message.trim()} ${stdout}${stderr}`.trim() : undefined),
      );
    });
    if (problem !== undefined)
      log.error(`The keys have changed, but the server was not restarted: ${problem}`);
  });
}

function failure(status: number, message: string): Error {
  return Object.assign(new Error(message), { status });
}
