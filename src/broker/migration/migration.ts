import type { Config } from '../../config/schema.ts';
import type { Cluster } from '../../store/etcd/gateway/cluster.ts';
import type { Mover } from '../../store/etcd/moving/registry-key.ts';
import type { LiveConfiguration } from '../opening/live-configuration.ts';

export type Driver = Config['_store']['driver'];

export interface MigrationOptions {
  /** The configuration file, whose `_store` is switched. */
  readonly file: string;
  /** The folder where the replaced files are kept. */
  readonly backupDir: string;
  readonly to: Driver;
  /** Options of etcd over those of the file; they are written to it. */
  readonly endpoints?: readonly string[];
  readonly prefix?: string;
  readonly onProgress: (progress: MigrationProgress) => void;
  /** Ends the migration: the registry stays in its place. */
  readonly signal: AbortSignal;
}

/** How far a migration has come. */
export interface MigrationProgress {
  readonly step: 'read' | 'copied' | 'verified';
  readonly done: number;
  /** Undefined while it is not known. */
  readonly total?: number;
}

/** The result of a migration. */
export interface Migrated {
  /**
   * - `moved`: the whole registry.
   * - `completed`: the rest of an earlier run.
   * - `reopened`: a migration out of etcd was undone.
   * - `already`: nothing was left to do.
   */
  readonly outcome: 'moved' | 'completed' | 'reopened' | 'already';
  /** The cluster's endpoints and prefix, for people. */
  readonly place: string;
  /** The number of moved entries. */
  readonly entries?: number;
  /** The revision from which it continues. */
  readonly revision?: number;
  /** The folder with the unchanged file and its journals. */
  readonly keptIn?: string;
  /** A backup of the registry that was in the file. */
  readonly backup?: string;
  /** Further notes for people, in whole sentences. */
  readonly notes: readonly string[];
}

/** The values that the steps of a migration share. */
export interface Migration extends Pick<MigrationOptions, 'backupDir' | 'onProgress' | 'signal'> {
  /** Its real path. */
  readonly file: string;
  readonly configuration: LiveConfiguration;
  readonly cluster: Cluster;
  readonly by: Mover;
  /** Keeps the id of {@link by} on the disk. It runs before etcd learns of the migration. */
  readonly beforeMark: () => Promise<void>;
  /** The options to write, except for the driver. */
  readonly options: Config;
  /** Whether brokers have their certificate in etcd. */
  readonly isPrivate: boolean;
}
