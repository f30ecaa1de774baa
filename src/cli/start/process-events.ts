import { runtime } from '#runtime';
import { constants } from 'node:os';
import { format } from 'node:util';
import type { Logger } from '../../protocol/logger.ts';
import { flushErrors } from '../terminal/terminal.ts';

/** The system's requests to a running broker. */
export interface Signals {
  /** Resolves at the first SIGINT or SIGTERM. Further ones change nothing: the stop has a time limit. */
  readonly stopped: Promise<string>;
  /**
   * Runs `action` for each SIGHUP from now on, and for one that came earlier. Several that come during a run
   * count once. The action must not reject.
   */
  onReload(action: () => Promise<void>): void;
}

/**
 * Handles SIGINT, SIGTERM and SIGHUP. A closing terminal sends SIGHUP too: a reload does no harm then.
 * Windows has no SIGHUP: the event of that name ends the process.
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
        // A second signal ends a start that hangs. One alone does not, because the start may be writing.
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

/**
 * Logs the runtime's warnings and fatal errors, and what a library writes to its console, like everything else. Their own
 * output may block, and is no line of a log.
 */
export function logProblems(log: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn('the runtime warns', { name, warning: message }));
  for (const method of ['debug', 'log', 'info', 'warn', 'error', 'trace'] as const)
    globalThis.console[method] = (...words: unknown[]) =>
      log.warn('a library wrote to the console', { text: format(...words) });
  const end = async (error: unknown): Promise<void> => {
    // A stop that a signal has asked for may be complete before the line is written.
    process.exitCode = 1;
    log.error('the broker ends because of an error that nothing handled', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    await flushErrors();
    runtime.exit(1);
  };
  process.on('uncaughtException', (error) => void end(error));
  process.on('unhandledRejection', (error) => void end(error));
}
