import path from 'node:path';
import type { AuditSink } from '../../api/audit/audit.ts';
import type { AuditCounts } from '../../api/audit/metrics.ts';
import type { AuditEvent, AuditRecord } from '../../api/audit/record.ts';
import { type AuditConfig, auditDefaults } from '../../config/schema.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { VERSION } from '../../protocol/version.ts';
import { openTrail, type Trail } from './trail.ts';

/** The audit trail of a broker, as its configuration sets it. */
export interface BrokerAudit {
  readonly sink: AuditSink;
  /**
   * Takes over options. It opens the file again even for the same ones, as needed after a rotation by another
   * program.
   */
  configure(config: AuditConfig | undefined): void;
  /** The state for the health check; undefined where there is no trail. */
  state(): AuditState | undefined;
  /** Writes the waiting lines, and ends the trail. */
  close(): void;
}

/** The state of the trail for the health check. */
export interface AuditState extends AuditCounts {
  /** The file of the trail; undefined for the log. */
  readonly file: string | undefined;
  readonly isRequired: boolean;
  /** Why it cannot be written now; undefined when it can. */
  readonly problem: string | undefined;
  /** The number of lines that wait until it can be written again. */
  readonly waiting: number;
}

export interface BrokerAuditOptions {
  /** The broker's configuration file. */
  readonly file: string;
  readonly config: AuditConfig | undefined;
  /** Identifies this running broker. */
  readonly instance: string;
  /** The registry's present revision. */
  revision(): number;
  readonly log: Logger;
  /** Writes a line to the log, whatever the log's level. */
  readonly toLog: (fields: LogFields) => void;
}

/** The file of a trail. Default: beside the broker's configuration `file`, `bpbroker.audit.jsonl` for `bpbroker.json`. */
export function trailPath(file: string, { file: given }: AuditConfig): string {
  const { dir, name } = path.parse(path.resolve(file));
  return given === undefined ? path.join(dir, `${name}.audit.jsonl`) : path.resolve(given);
}

/** A trail that is open. */
interface Open {
  write(record: AuditRecord): Promise<boolean>;
  readonly trail?: Trail;
}

export function createBrokerAudit(options: BrokerAuditOptions): BrokerAudit {
  const { log, instance } = options;
  let config: AuditConfig | undefined;
  let open: Open | undefined;
  let lines = 0;
  let lost = 0;

  function begin(next: AuditConfig): Open {
    if (next.to === 'log') return { write: toLog };
    const trail = openTrail({
      file: trailPath(options.file, next),
      maxBytes: next.max_bytes ?? auditDefaults.max_bytes,
      keep: next.keep ?? auditDefaults.keep,
      log,
      onWritten: (count) => (lines += count),
      onLost: (count) => (lost += count),
    });
    return { trail, write: (record) => trail.write(record) };
  }

  let logSeq = 0;
  function toLog({ time: _own, data, outcomes, ...rest }: AuditRecord): Promise<boolean> {
    options.toLog({
      seq: ++logSeq,
      ...rest,
      ...(data === undefined ? {} : { data: JSON.stringify(data) }),
      ...(outcomes === undefined ? {} : { outcomes: JSON.stringify(outcomes) }),
    });
    lines++;
    return Promise.resolve(true);
  }

  function tell(event: AuditEvent): void {
    const time = new Date().toISOString();
    void open?.write({ time, event, version: VERSION, instance, revision: options.revision() });
  }

  function end(): void {
    tell('stop');
    open?.trail?.close();
    open = undefined;
    config = undefined;
  }

  function configure(next: AuditConfig | undefined): void {
    if (open && JSON.stringify(next) === JSON.stringify(config)) {
      open.trail?.reopen();
      tell('reload');
      return;
    }
    if (open) end();
    config = next;
    open = next && begin(next);
    tell('start');
  }

  configure(options.config);
  return {
    sink: {
      get isOn() {
        return open !== undefined;
      },
      get withData() {
        return config?.data === true;
      },
      get isRequired() {
        return config?.required === true;
      },
      problem: () => open?.trail?.problem(),
      write: (record) => open?.write(record) ?? Promise.resolve(false),
    },
    configure,
    state() {
      if (!config) return undefined;
      const { trail } = open ?? {};
      return {
        lines,
        lost,
        file: config.to === 'file' ? trailPath(options.file, config) : undefined,
        isRequired: config.required === true,
        problem: trail?.problem(),
        waiting: trail?.waiting ?? 0,
      };
    },
    close: end,
  };
}
