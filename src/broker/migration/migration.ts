import type { Config } from '../../config/schema.ts';
import type { Cluster } from '../../store/etcd/gateway/cluster.ts';
import type { Mover } from '../../store/etcd/moving/claim.ts';
import type { Settings } from '../opening/settings.ts';

export type Driver = Config['_store']['driver'];

export interface MigrationOptions {
  /** The configuration file, whose `_store` is switched. */
  readonly file: string;
  /** Where what is replaced of it is kept. */
  readonly backupDir: string;
  readonly to: Driver;
  /** Options of etcd over those of the file; they are kept in it. */
  readonly endpoints?: readonly string[];
  readonly prefix?: string;
  readonly onProgress: (progress: MigrationProgress) => void;
  /** Ends it: the registry stays where it is. */
  readonly signal: AbortSignal;
}

export interface MigrationProgress {
  readonly step: 'read' | 'copied' | 'verified';
  readonly done: number;
  /** Nothing while it is not known. */
  readonly total?: number;
}

export interface Migrated {
  /**
   * - `moved`: all of it.
   * - `completed`: what an earlier run had left to do.
   * - `reopened`: a migration out of etcd was given up.
   * - `already`: there was nothing to do.
   */
  readonly outcome: 'moved' | 'completed' | 'reopened' | 'already';
  /** The cluster's endpoints and prefix, for people. */
  readonly place: string;
  /** Of a registry that was moved. */
  readonly entries?: number;
  /** The revision that it goes on from. */
  readonly revision?: number;
  /** The folder with the file and its journals as they were. */
  readonly keptIn?: string;
  /** A backup of the registry that was in the file. */
  readonly backup?: string;
  /** What there is to know besides, in whole sentences. */
  readonly notes: readonly string[];
}

/** What the steps of a migration have in common. */
export interface Migration extends Pick<MigrationOptions, 'backupDir' | 'onProgress' | 'signal'> {
  /** Where it really is. */
  readonly file: string;
  readonly settings: Settings;
  readonly cluster: Cluster;
  readonly by: Mover;
  /** The options as they are to be written, but for the driver. */
  readonly options: Config;
  /** Whether brokers have their certificate in etcd. */
  readonly isPrivate: boolean;
}
