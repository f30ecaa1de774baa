import { runtime } from '#runtime';
import { constants } from 'node:os';
import type { Logger } from '../../protocol/logger.ts';
import { flushErrors } from '../terminal/terminal.ts';

/** What the system asks of a broker that runs. */
export interface Signals {
  /** The first SIGINT or SIGTERM. Further ones change nothing: the stop that is under way is bounded. */
  readonly stopped: Promise<string>;
  /**
   * Does `action` for each SIGHUP from now on, and for one that came earlier; those that come while it is under way count
   * once. The action must not reject.
   */
  onReload(action: () => Promise<void>): void;
}

/**
 * Handles SIGINT, SIGTERM and SIGHUP. A terminal that closes sends SIGHUP as well: a reload does no harm then. Windows has
 * none: what is named so there ends the process.
 */
export function handleSignals(log: Logger): Signals {
  let isOpen = false;
  let stopping: string | undefined;
  let isAsked = false;
  let isReloading = false;
  let reload: (() => Promise<void>) | undefined;

  const isDue = (): boolean => isAsked && stopping === undefined;
  const reloadWhileAsked = async (): Promise<void> => {
    if (isReloading || !reload) return;
    isReloading = true;
    while (isDue()) {
      isAsked = false;
      await reload();
    }
    isReloading = false;
  };
  if (process.platform !== 'win32') {
    process.on('SIGHUP', () => {
      isAsked = true;
      void reloadWhileAsked();
    });
  }
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        // A start that hangs can be ended, though not by one signal alone: it may be writing.
        if (stopping !== undefined && !isOpen) runtime.exit(128 + constants.signals[signal]);
        if (stopping !== undefined) log.info('it is stopping already', { signal });
        stopping ??= signal;
        resolve(signal);
      });
    }
  });
  return {
    stopped,
    onReload(action) {
      isOpen = true;
      reload = action;
      void reloadWhileAsked();
    },
  };
}

/** Has the runtime's warnings, and what would end the process, logged like everything else: its own way may wait. */
export function logProblems(log: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) =>
    log.warn('warning of the runtime', { name, warning: message }),
  );
  const end = async (error: unknown): Promise<void> => {
    log.error('the broker ends, for an error that nothing handled', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    await flushErrors();
    runtime.exit(1);
  };
  process.on('uncaughtException', (error) => void end(error));
  process.on('unhandledRejection', (error) => void end(error));
}
