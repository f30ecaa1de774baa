import type { Store } from '../../store/store.ts';

/** A backup that has been made. Its own type: those of the file's driver need Node's, which the package's must not. */
export interface BackupWritten {
  readonly path: string;
  /** The registry's revision of which it is the state. */
  readonly revision: number;
  readonly bytes: number;
}

/** The registry of a broker: of whichever driver, with what a broker needs beyond a store. */
export interface BrokerStore extends Store {
  /** Tells this registry from all others. */
  readonly id: string;
  /**
   * Writes a backup: the options and the registry as of one moment, sealed, to the path that `target` gives for its revision.
   * @throws BrokerError `storage_full`, `unavailable`; a failure leaves nothing there.
   */
  backUp(target: (revision: number) => string): Promise<BackupWritten>;
  /** What was put right as it was opened; nothing after a clean stop, and where nothing is kept on this host. */
  readonly recovery: { readonly replayed: number; readonly tornBytes: number } | undefined;
  /** Why the file could not be rewritten at the last attempt; nothing when all is well. */
  rewriteProblem(): string | undefined;
  /** Bytes of the journal that is written to; absent where there is none. */
  readonly journalBytes?: number;
  /** Bytes that what is written beside the entries' own writes takes on the disk of this host. */
  neededBytes(): number;
  /** What a look at the disk of this host shows to be amiss; nothing when all is well. */
  diskProblem(): Promise<string | undefined>;
}

/** What all brokers over one registry have in common. */
export interface SharedRegistry {
  /** The text under a name: what `make` gave the first that asked. */
  common(name: string, make: () => Promise<string>): Promise<string>;
  /** Lists this process among those that serve the registry: what it says of itself, under an id of its own. */
  join(id: string, about: string): void;
  /** What those that serve it now have said. Throws a BrokerError where that is unknown. */
  members(): Promise<readonly string[]>;
  /** Whether a private key may be kept in it: whether nobody but the cluster can read what is sent there. */
  readonly isPrivate: boolean;
}
