import path from 'node:path';
import type { Config } from '../../config/schema.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { ScheduleMonitor } from '../../protocol/schedule-monitor.ts';
import type { BrokerStore } from '../opening/broker-store.ts';
import type { Backups } from '../backups/backups.ts';
import type { AuditState } from '../audit/broker-audit.ts';
import { createAuditCheck } from './checks/audit.ts';
import { checkCertificate } from './checks/certificate.ts';
import { checkDisk } from './checks/disk.ts';
import { createLogCheck } from './checks/log-lines.ts';
import { checkRegistrySize } from './checks/registry-size.ts';
import { checkListeners } from './checks/listeners.ts';
import type { SelfQuery } from './checks/self-query.ts';
import { type Health, startHealth } from './health.ts';
import type { Listeners } from '../listeners.ts';

export interface SelfCheckOptions {
  readonly file: string;
  readonly store: BrokerStore;
  readonly backups: Pick<Backups, 'problem'>;
  /** The present configuration, which may change while the broker runs. */
  config(): Config;
  readonly schedules: ScheduleMonitor;
  readonly log: Logger;
  readonly selfQuery: SelfQuery;
  readonly onAlive: (() => void) | undefined;
  /** The longest time between two checks, in milliseconds. */
  readonly checkEveryMs: number;
  /** The number of lost lines of the log so far; undefined where they are not counted. */
  lostLines(): number | undefined;
  /** The present state of the audit trail; undefined where there is none. */
  audit(): AuditState | undefined;
  /** The listeners, once they are open. */
  listeners(): Listeners | undefined;
}

/** The checks of a broker's own state, every `_global.healthcheck_freq_sec`. */
export function watchHealth(options: SelfCheckOptions): Health {
  const { store, backups, schedules, log, onAlive, checkEveryMs, selfQuery } = options;
  return startHealth({
    everyMs: () => Math.min(options.config()._global.healthcheck_freq_sec * 1000, checkEveryMs),
    schedule: schedules.of('the self-check'),
    log,
    onAlive,
    vital: ['listeners'],
    live: {
      store() {
        const { writable, reason } = store.health();
        return reason === undefined ? { ok: writable } : { ok: writable, reason };
      },
      journal() {
        const warning = store.rewriteProblem();
        return warning === undefined ? { ok: true } : { ok: true, warning };
      },
      log: createLogCheck(() => options.lostLines()),
      audit: createAuditCheck(() => options.audit()),
      registry: () => checkRegistrySize(store.health()),
      schedules() {
        const stopped = schedules.overdue();
        return stopped.length === 0
          ? { ok: true }
          : { ok: false, reason: `does not go on: ${stopped.join(', ')}; restart the broker` };
      },
      connections() {
        const warning = options.listeners()?.refusing();
        return warning === undefined ? { ok: true } : { ok: true, warning };
      },
    },
    checks: {
      disk: () => checkDisk(store, path.dirname(path.resolve(options.file))),
      listeners() {
        const open = options.listeners();
        if (!open) return undefined;
        // At the limit of connections, this one may be refused like any other. That is not a reason to
        // restart the broker.
        const mayRefuse = (): boolean => open.refusing() !== undefined;
        return checkListeners(open.address, options.config().api.listen_ip, selfQuery, { mayRefuse });
      },
      certificate() {
        const open = options.listeners();
        return open && checkCertificate(open.certificate);
      },
      backups() {
        const warning = backups.problem();
        return warning === undefined ? { ok: true } : { ok: true, warning };
      },
    },
  });
}
