import { BrokerError, messageOf } from './errors.ts';

/**
 * What the system's errors mean and what helps, by their code: the one table of all messages about files and
 * ports that users see. Errors of connections to a broker have their own table
 * (`runtime/connection-errors.ts`).
 */
const meanings: Readonly<Record<string, readonly [meaning: string, remedy: string]>> = {
  EACCES: ['permission denied', 'run as its owner, or have its owner or mode changed'],
  EPERM: ['not permitted', 'run as its owner, or as a user who may do so'],
  EROFS: ['the file system is read-only', 'mount it writable, or use another folder'],
  ENOSPC: ['no space left on device', 'free some of it'],
  EDQUOT: ["the user's disk quota is used up", 'free some space, or have the quota raised'],
  EFBIG: [
    'the file would be larger than it may be',
    'raise the limit (ulimit -f), or use another file system',
  ],
  ENOMEM: ['there is no memory left', 'end other programs, or give this host more'],
  EMFILE: ['too many open files in this process', 'raise its limit (ulimit -n)'],
  ENFILE: ['too many open files on this host', 'end other programs, or raise the limit of the system'],
  EEXIST: ['that name exists already', 'remove it, or use another name'],
  EBUSY: [
    'it is in use, or is a mounted file, which cannot be replaced',
    'end the program that uses it, or mount its folder instead',
  ],
  EISDIR: ['it is a folder', 'give the path of a file'],
  ENOTDIR: ['a part of its path is a file and no folder', 'check the path'],
  ENOENT: ['there is no such file or folder', 'check the path'],
  ELOOP: ['its symbolic links lead in a circle', 'check them, or give the path of the file itself'],
  ENAMETOOLONG: ['its path is too long', 'use a shorter one'],
  EADDRINUSE: ['the port is taken', 'stop the other program, or choose another port'],
  EADDRNOTAVAIL: ['this host has no such address', 'give one of its own, or none for all'],
  EIO: ['the device failed', 'check the disk, and the log of the system'],
};

/** The system's code of an error or of its causes; undefined where the table does not have it. */
export function systemCode(thrown: unknown): string | undefined {
  for (let at = thrown; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string' && Object.hasOwn(meanings, code)) return code;
  }
  return undefined;
}

/**
 * Says why something failed, for a message that names the file or port before it. For example: `permission
 * denied: run as its owner, or have its owner or mode changed [EACCES]`. An error that is not one of the
 * system returns its own text.
 * @param remedies replaces the table's advice by the caller's, by code.
 */
export function reasonOf(thrown: unknown, remedies: Readonly<Record<string, string>> = {}): string {
  const code = systemCode(thrown);
  if (code === undefined) return messageOf(thrown);
  const [meaning, remedy] = meanings[code] ?? ['', ''];
  return `${meaning}: ${remedies[code] ?? remedy} [${code}]`;
}

/** The codes of a path that is wrong, or of a file that this user cannot read. */
const mistaken = new Set([
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'EACCES',
  'EPERM',
  'ELOOP',
  'ENAMETOOLONG',
  'EINVAL',
  'ENXIO',
]);

/**
 * The error for a file of an option that cannot be read. It is `usage` where another path could be right. It is
 * `internal` for a failure of the system, such as that of a disk: no other command line would mend it (decision 166).
 * @param option names it, for example `--data-file`.
 */
export function cannotRead(option: string, file: string, cause: unknown): BrokerError {
  const code = mistaken.has((cause as { code?: string }).code ?? '') ? 'usage' : 'internal';
  return new BrokerError(code, `Cannot read ${option} ${file}: ${reasonOf(cause)}`, { cause });
}

const verbs: Readonly<Record<string, string>> = {
  access: 'use',
  chmod: 'change the mode of',
  chown: 'change the owner of',
  copyfile: 'copy',
  fdatasync: 'write to',
  fsync: 'write to',
  link: 'make',
  listen: 'listen on',
  lstat: 'look at',
  mkdir: 'make the folder',
  open: 'open',
  read: 'read',
  readlink: 'read',
  realpath: 'find',
  rename: 'replace',
  rm: 'remove',
  rmdir: 'remove',
  scandir: 'list',
  stat: 'look at',
  symlink: 'make',
  unlink: 'remove',
  write: 'write to',
};

/** The message of an unexpected error of the system: `Cannot open /x/y: permission denied: … [EACCES]`. */
export function describeError(thrown: unknown): string {
  const code = systemCode(thrown);
  if (code === undefined || (thrown as { code?: unknown }).code !== code) return messageOf(thrown);
  const { syscall = '', path, dest } = thrown as { syscall?: string; path?: string; dest?: string };
  const file = dest ?? path;
  const what = file === undefined ? '' : `Cannot ${verbs[syscall] ?? 'use'} ${messageOf(file)}: `;
  const reason = reasonOf(thrown);
  return what === '' ? reason.charAt(0).toUpperCase() + reason.slice(1) : what + reason;
}
