import path from 'node:path';
import type { AuditSink } from '../../api/audit/audit.ts';
import type { AuditCounts } from '../../api/audit/metrics.ts';
import type { AuditEvent, AuditRecord } from '../../api/audit/record.ts';
import type { AuditConfig } from '../../config/schema.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { VERSION } from '../../protocol/version.ts';
import { openTrail, type Trail } from './trail.ts';

/** The audit trail of a broker, as its configuration asks for it. */
export interface BrokerAudit {
  readonly sink: AuditSink;
  /** Takes over other options; the same ones have the file opened anew, as after a rotation by another program. */
  configure(config: AuditConfig | undefined): void;
  /** What health says of it; nothing where there is no trail. */
  state(): AuditState | undefined;
  /** Writes what waits, and ends the trail. */
  close(): void;
}

export interface AuditState extends AuditCounts {
  /** Where it is written to; nothing for the log. */
  readonly file: string | undefined;
  readonly isRequired: boolean;
  /** Why it cannot be written now; nothing when all is well. */
  readonly problem: string | undefined;
  /** Lines that wait until it can be written again. */
  readonly waiting: number;
}

export interface BrokerAuditOptions {
  /** The broker's configuration file. */
  readonly file: string;
  readonly config: AuditConfig | undefined;
  /** Tells this running broker from others. */
  readonly instance: string;
  /** The registry's revision now. */
  revision(): number;
  readonly log: Logger;
  /** Writes a line to the log, whatever its level is. */
  readonly toLog: (fields: LogFields) => void;
}

/** What `_audit.max_bytes` and `_audit.keep` are unless they are given. */
const defaults = { maxBytes: 64 * 1024 * 1024, keep: 10 };

/** A trail that is written to. */
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

  function pathOf({ file }: AuditConfig): string {
    const { dir, name } = path.parse(path.resolve(options.file));
    return file === undefined ? path.join(dir, `${name}.audit.jsonl`) : path.resolve(file);
  }

  function begin(next: AuditConfig): Open {
    if (next.to === 'log') return { write: toLog };
    const trail = openTrail({
      file: pathOf(next),
      maxBytes: next.max_bytes ?? defaults.maxBytes,
      keep: next.keep ?? defaults.keep,
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
        file: config.to === 'file' ? pathOf(config) : undefined,
        isRequired: config.required === true,
        problem: trail?.problem(),
        waiting: trail?.waiting ?? 0,
      };
    },
    close: end,
  };
}
