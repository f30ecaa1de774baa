import { statSync } from 'node:fs';
import type { Config } from '../../config/schema.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { FileEdits } from '../../store/file/document/compactor.ts';
import { type LoadedConfiguration, loadConfiguration } from './configuration.ts';

/** The options of a running broker: the valid ones, and those in its file. */
export interface LiveConfiguration {
  /** The valid options: all layers, as of the last reload. */
  readonly effective: Config;
  /** The options that are written back to its file: as of the last look at it, which may be later. */
  readonly written: Config;
  /** The content of the file when the broker was opened. */
  readonly document: LoadedConfiguration['document'];
  /** As {@link LoadedConfiguration.globalProblem}, at the last look at the files. */
  readonly globalProblem: string | undefined;
  /** Keeps edits of the file when the store rewrites it. */
  readonly edits: FileEdits;
  /**
   * Reads the layers again. Options that need a restart stay unchanged, and are named.
   * @param check rejects to leave everything unchanged.
   * @throws BrokerError `invalid_config`, or the error of `check`; the old options stay valid then. An edit that
   * could be read stays in the file all the same.
   */
  reload(check: (next: Config) => Promise<void>): Promise<Reloaded>;
}

/** The result of a reload. */
export interface Reloaded {
  readonly before: Config;
  /** The options with another value in the file that become valid at the next start. */
  readonly needRestart: readonly string[];
}

export interface LiveConfigurationOptions {
  readonly file: string;
  /** Options over those of the file, for this run only. */
  readonly options: JsonObject | undefined;
  /** Whether the machine's global file has no part in it; default: it has. */
  readonly isEmbedded?: boolean;
  readonly log: Logger;
}

/** Reads the configuration of a broker that is about to open. Throws as {@link loadConfiguration} does. */
export async function openLiveConfiguration({
  file,
  options,
  isEmbedded = false,
  log,
}: LiveConfigurationOptions): Promise<LiveConfiguration> {
  const load = (): Promise<LoadedConfiguration> => loadConfiguration(file, options, process.env, isEmbedded);
  // This comes before the file is read: any later change is an edit.
  let known = stampOf(file);
  const loaded = await load();
  let { written, effective, globalProblem } = loaded;

  let hasExisted = loaded.document !== undefined;

  /** A missing file has no options: its defaults, which ask for no key, are not what the user wrote. */
  const isGone = ({ document }: LoadedConfiguration): boolean => document === undefined && hasExisted;

  async function look(): Promise<LoadedConfiguration> {
    const stamp = stampOf(file);
    const now = await load();
    // Its keys would go unnoticed with it.
    if (now.globalProblem !== undefined && globalProblem === undefined) {
      throw new BrokerError(
        'invalid_config',
        `Cannot go on with other options than at the start: ${now.globalProblem}`,
      );
    }
    ({ globalProblem } = now);
    // The stamp and the options change together, whatever becomes of a reload: a rewriting of the file that
    // knows the stamp alone would undo the edit.
    known = stamp;
    if (!isGone(now)) ({ written } = now);
    if (now.document !== undefined) hasExisted = true;
    return now;
  }

  return {
    get effective() {
      return effective;
    },
    get written() {
      return written;
    },
    document: loaded.document,
    get globalProblem() {
      return globalProblem;
    },
    edits: {
      async keep() {
        // A removed file is not an edit: its options stay valid.
        if ([known, MISSING].includes(stampOf(file))) return;
        const former = written;
        await look();
        if (isSame(former, written)) return;
        log.info('the options in the file were edited; they are kept, and take effect after a reload', {
          file,
        });
      },
      check() {
        if (![known, MISSING].includes(stampOf(file))) {
          throw new BrokerError('unavailable', `${file} was edited while the broker was about to rewrite it`);
        }
      },
      wrote() {
        known = stampOf(file);
        hasExisted = true;
      },
    },
    async reload(check) {
      const now = await look();
      if (isGone(now)) {
        throw new BrokerError(
          'invalid_config',
          `There is no file ${file} any more: put it back, or stop the broker, which writes it`,
        );
      }
      const before = effective;
      const { api } = now.effective;
      const { listen_ip: ip, listen_port: port } = before.api;
      const next: Config = {
        ...now.effective,
        api: { ...api, listen_ip: ip, listen_port: port },
        _store: before._store,
      };
      await check(next);
      effective = next;
      const needRestart = [
        ...(api.listen_ip === ip ? [] : ['api.listen_ip']),
        ...(api.listen_port === port ? [] : ['api.listen_port']),
        ...(isSame(now.effective._store, before._store) ? [] : ['_store']),
      ];
      return { before, needRestart };
    },
  };
}

/** Whether two parts of a configuration have equal values. */
export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The stamp of a file that does not exist. */
const MISSING = '';

/** A text that changes with the content of the file, whether an editor replaces the file or writes it. */
function stampOf(file: string): string {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? MISSING : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}`;
}
