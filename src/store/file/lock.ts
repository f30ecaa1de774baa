import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { resolveFile } from '../../config/atomic-write.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/** A lock that this process holds. */
export interface FileLock {
  release(): Promise<void>;
}

// sun_path has 104 bytes on macOS, 108 on Linux.
const SOCKET_PATH_BYTES = 100;

/**
 * Makes this process the only user of `file`, until the lock is released or the process ends in any way. The
 * lock is a listening socket, which the system closes with its process. It works on one machine, not for
 * other hosts that share the folder.
 *
 * @throws BrokerError `invalid_config` when another process holds it, naming that process.
 */
export async function acquireLock(file: string): Promise<FileLock> {
  const real = await resolveFile(file);
  try {
    return process.platform === 'win32' ? await lockByPipe(real) : await lockBySocket(real);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    throw new BrokerError('invalid_config', `Cannot lock ${real}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * The id of the process that holds the lock of `file`, 0 where it is not known; undefined where none does. It
 * changes nothing.
 */
export async function lockHolder(file: string): Promise<number | undefined> {
  const real = await resolveFile(file);
  if (process.platform === 'win32') {
    try {
      return Number(await greet(await pipeOf(real))) || 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
  const dir = path.dirname(real);
  const head = `${path.basename(real)}.lock`;
  const { last } = await endOfChain(dir, head);
  if (last === undefined || !(await isAlive(dir, last))) return undefined;
  return Number(pidOf(head, last)) || 0;
}

/**
 * `FILE.lock` is a symbolic link to the holder's socket, `FILE.lock-PID-RANDOM`. A link cannot be made where
 * one exists, so only one contender makes it. The link of a dead holder is not removed: the contender that
 * makes the link `<dead socket>.next` to its own socket is the next holder. So links lead from `FILE.lock`
 * over the dead ones to the one holder. Names are never used again, so a contender that saw an older chain
 * cannot take its end: it checks from the start that the chain leads to it. The holder then points
 * `FILE.lock` at its own socket and removes the dead ones.
 */
async function lockBySocket(file: string): Promise<FileLock> {
  const dir = path.dirname(file);
  const head = `${path.basename(file)}.lock`;
  const own = `${head}-${process.pid}-${randomBytes(6).toString('hex')}`;
  const server = await listen(dir, own);
  const give = async (): Promise<void> => {
    await closeServer(server);
    await rm(path.join(dir, own), { force: true });
  };
  try {
    await join(dir, head, own, file);
    // Another contender that cleans up may take a socket that does not listen yet for a dead one.
    if (!(await isAlive(dir, own))) throw new Error(`its socket ${own} was removed; try again`);
    await settle(dir, head, own);
  } catch (error) {
    await give();
    throw error;
  }
  return {
    async release() {
      // The link goes first: once the socket is closed, a contender would take this holder for dead.
      if ((await target(dir, head)) === own) await rm(path.join(dir, head), { force: true });
      await give();
    },
  };
}

/**
 * Becomes the end of the chain.
 * @throws BrokerError that names the present holder.
 */
async function join(dir: string, head: string, own: string, file: string): Promise<void> {
  for (;;) {
    const { link, last } = await endOfChain(dir, head);
    if (last !== undefined && (await isAlive(dir, last))) throw held(file, pidOf(head, last));
    if (!(await makeLink(dir, link, own))) continue;
    if ((await endOfChain(dir, head)).last === own) return;
    await rm(path.join(dir, link), { force: true });
  }
}

/** The link that a new contender must make, and the socket at the end of the chain, if any. */
async function endOfChain(dir: string, head: string): Promise<{ link: string; last: string | undefined }> {
  let link = head;
  let last: string | undefined;
  for (let next = await target(dir, link); next !== undefined; next = await target(dir, link)) {
    last = next;
    link = `${next}.next`;
  }
  return { link, last };
}

/** Points the head at this holder, then removes sockets and links of dead ones. */
async function settle(dir: string, head: string, own: string): Promise<void> {
  if ((await target(dir, head)) !== own) {
    const fresh = `${own}.head`;
    await symlink(own, path.join(dir, fresh));
    await rename(path.join(dir, fresh), path.join(dir, head));
  }
  for (const name of await readdir(dir)) {
    if (!name.startsWith(`${head}-`) || name.startsWith(own)) continue;
    const socket = name.replace(/\.(?:next|head)$/, '');
    if (!(await isAlive(dir, socket))) await rm(path.join(dir, name), { force: true });
  }
}

async function makeLink(dir: string, link: string, to: string): Promise<boolean> {
  try {
    await symlink(to, path.join(dir, link));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function target(dir: string, link: string): Promise<string | undefined> {
  try {
    return path.basename(await readlink(path.join(dir, link)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function listen(dir: string, name: string): Promise<Server> {
  return await withShortPath(dir, name, async (socketPath) => await listenAt(socketPath));
}

async function isAlive(dir: string, name: string): Promise<boolean> {
  return await withShortPath(dir, name, async (socketPath) => {
    try {
      await reach(socketPath);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Other errors (no permission, too many waiting connections) do not show that it is dead.
      return code !== 'ECONNREFUSED' && code !== 'ENOENT';
    }
  });
}

/**
 * Runs `work` with a short path to a folder, since a socket's path must be short. A long one is reached
 * through a link in the system's folder for temporary files.
 */
async function withShortPath<T>(
  dir: string,
  name: string,
  use: (socketPath: string) => Promise<T>,
): Promise<T> {
  const direct = path.join(dir, name);
  if (Buffer.byteLength(direct) <= SOCKET_PATH_BYTES) return await use(direct);
  const temp = await mkdtemp(path.join(tmpdir(), 'bpb-'));
  try {
    await symlink(dir, path.join(temp, 'd'));
    return await use(path.join(temp, 'd', name));
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

async function pipeOf(file: string): Promise<string> {
  const dir = await realpath(path.dirname(file));
  const name = path.join(dir, path.basename(file)).toLowerCase();
  return `\\\\.\\pipe\\bpbroker-${createHash('sha256').update(name).digest('hex')}`;
}

async function lockByPipe(file: string): Promise<FileLock> {
  const pipe = await pipeOf(file);
  try {
    const server = await listenAt(pipe);
    return { release: () => closeServer(server) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    throw held(file, await greet(pipe).catch(() => ''));
  }
}

/** A server that sends its process id to every client. It does not keep the process alive. */
async function listenAt(socketPath: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(process.pid));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  server.unref();
  return server;
}

/** Rejects when nothing listens there. */
async function reach(socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(socketPath, () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

/** The holder's message within a second. Rejects when nothing listens there. */
async function greet(socketPath: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(socketPath);
    const end = (): void => {
      socket.destroy();
      resolve(said);
    };
    socket.setTimeout(1000, end);
    socket.on('data', (bytes) => {
      said += bytes.toString();
    });
    socket.on('end', end);
    socket.once('error', reject);
  });
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

function pidOf(head: string, socket: string): string {
  return socket.slice(head.length + 1).split('-')[0] ?? '';
}

const heldBy = new WeakMap<object, string>();

function held(file: string, pid: string): BrokerError {
  const who = /^\d+$/.test(pid) ? ` (pid ${pid})` : '';
  const error = new BrokerError('invalid_config', `Another broker${who} is using ${file}; stop it first`);
  heldBy.set(error, who);
  return error;
}

/** Of what {@link acquireLock} throws where another process holds the lock: which, as ` (pid 123)` or ``; nothing for any other error. */
export function holderIn(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? heldBy.get(error) : undefined;
}
