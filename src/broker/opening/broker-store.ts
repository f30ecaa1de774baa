import type { Store } from '../../store/store.ts';

/**
 * A backup that was written. This type is separate, since those of the file's driver need Node's types, which
 * the package's must not.
 */
export interface BackupWritten {
  readonly path: string;
  /** The registry's revision of this state. */
  readonly revision: number;
  readonly bytes: number;
}

/** The registry of a broker, with any driver: a store with the further functions that a broker needs. */
export interface BrokerStore extends Store {
  /** Identifies this registry. */
  readonly id: string;
  /**
   * Writes a backup: the options and the registry of one moment, sealed, to the path that `target` returns
   * for its revision.
   * @throws BrokerError `storage_full`, `unavailable`; no file is left then.
   */
  backUp(target: (revision: number) => string): Promise<BackupWritten>;
  /** The repairs at its opening; undefined after a clean stop, and where nothing is kept on this host. */
  readonly recovery: { readonly replayed: number; readonly tornBytes: number } | undefined;
  /** Why the last attempt to rewrite the file failed; undefined when it succeeded. */
  rewriteProblem(): string | undefined;
  /** The bytes of the present journal; absent where there is none. */
  readonly journalBytes?: number;
  /** The bytes that the store needs on this host's disk besides the entries' own writes. */
  neededBytes(): number;
  /** A problem with this host's disk, found by a look at it; undefined when there is none. */
  diskProblem(): Promise<string | undefined>;
}

/** The texts and the list that all brokers of one registry share. */
export interface SharedRegistry {
  /** The text under a name: the result of the first caller's `make`. */
  common(name: string, make: () => Promise<string>): Promise<string>;
  /** Lists this process among those that serve the registry: its description, under its own id. */
  join(id: string, about: string): void;
  /**
   * The descriptions of the processes that serve it now.
   * @throws BrokerError where they are unknown.
   */
  members(): Promise<readonly string[]>;
  /** Whether it may hold a private key: nobody but the cluster can read the data on its way there. */
  readonly isPrivate: boolean;
}
