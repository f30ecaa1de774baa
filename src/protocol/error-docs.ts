import type { ErrorCode } from './errors.ts';

/** The description of an error in the reference and in `/openapi.json`. */
export interface ErrorDoc {
  /** The failure: a phrase without a full stop, in Markdown. */
  readonly meaning: string;
  /** The next step: a sentence without a full stop, in Markdown. */
  readonly remedy: string;
  /** Whether brokers answer with it. Clients and commands make the other errors themselves. Default: true. */
  readonly isAnswered?: boolean;
}

/** The description of each code, in the order of the table in `errors.ts`. */
export const errorDocs: Readonly<Record<ErrorCode, ErrorDoc>> = {
  internal: {
    meaning: 'the broker failed',
    remedy: "Look into the broker's log, where the id in the message is that of the request",
  },
  extension_failed: {
    meaning: 'an extension failed, went past a limit, or cannot be run',
    remedy: "Read the message; the broker's log has what the extension printed",
  },
  invalid_request: {
    meaning: 'a parameter is missing, unknown or malformed',
    remedy: 'Correct the parameter that the message names',
  },
  too_large: {
    meaning: 'data over 1 MiB, or a body over 1 MiB and 64 KiB',
    remedy: 'Store less, such as the place where the data is',
  },
  too_many_requests: {
    meaning: 'wrong keys, event streams, waits or calls of an extension: too many',
    remedy: 'Correct a wrong key first; try again once `Retry-After` is over',
  },
  unavailable: {
    meaning: 'writes cannot be made durable, or the broker is stopping; nothing was stored',
    remedy: 'Try again; where it lasts, `doctor` and `/readyz` say why',
  },
  outcome_unknown: {
    meaning: 'the disk failed under this write: it may exist after a restart',
    remedy: 'Read the entry once the broker is well',
  },
  storage_full: {
    meaning: 'disk or registry is full; nothing was stored, and writes are taken again, with room',
    remedy: 'Make room on the disk, delete entries, or raise `_store.max_bytes`',
  },
  invalid_config: {
    meaning: 'an option of the configuration, or of a function, is missing or wrong',
    remedy: 'Correct the option that the message names, and reload',
  },
  usage: {
    meaning: 'the command line is wrong',
    remedy: 'Correct what the message names; `--help` shows what the command takes',
    isAnswered: false,
  },
  not_found: {
    meaning: 'no such entry, method or path',
    remedy: 'Run `doctor --name NAME`, which names the entry that may be meant; `--wait` waits for one',
  },
  module_not_found: {
    meaning: 'the module is not enabled, or not installed',
    remedy: 'Give the configuration a key of its name, and install its file',
  },
  already_exists: {
    meaning: 'the name exists',
    remedy: 'Use `replace` or `update`; for a script that runs twice, `--if-same`',
  },
  revision_conflict: {
    meaning: 'the entry is at another revision',
    remedy: 'Read the entry anew, and decide by what it is now',
  },
  access_denied: {
    meaning: 'no access key, or a wrong one',
    remedy: 'Give the key of the module: `--access-key-file FILE`, or `BPBROKER_ACCESS_KEY`',
  },
  forbidden: {
    meaning: 'a private method (`_…`), or a web page of another origin',
    remedy: "Call a method whose name begins otherwise; open the page at the broker's own address",
  },
  unreachable: {
    meaning: 'no broker reached: refused, timed out, or none answered',
    remedy: 'Run `doctor` with the same options',
    isAnswered: false,
  },
  ambiguous_broker: {
    meaning: 'several brokers answered',
    remedy: 'Name the right one with `--bpbroker`, or stop the other; `doctor --name NAME` lists them',
    isAnswered: false,
  },
  identity_mismatch: {
    meaning: "the broker's identity does not match",
    remedy:
      "Compare the fingerprint with the broker's ready line before you accept it; `doctor` prints the command",
    isAnswered: false,
  },
  timeout: {
    meaning: 'gave up waiting',
    remedy: 'Look for what has not come, or give it more time with `--timeout`',
    isAnswered: false,
  },
  lock_lost: {
    meaning: "the lock is no longer the caller's own",
    remedy: 'Stop what the lock protects, and take the lock anew',
    isAnswered: false,
  },
  extension_timeout: {
    meaning: 'an extension took longer than its `_timeout_secs`',
    remedy: 'Raise `_timeout_secs` of the module, or let the method do less at a time',
  },
};
