import { X509Certificate } from 'node:crypto';
import { type AuditCounts, auditMetrics } from '../../api/audit/metrics.ts';
import { createHistogram, type Histogram } from '../../api/metrics/histogram.ts';
import { labelledMetric, type Metric, singleMetric } from '../../api/metrics/metric.ts';
import type { Backups } from '../backups/backups.ts';
import type { ResponderStats } from '../discovery/responder.ts';
import type { Listeners } from '../listeners.ts';
import { createProcessMetrics } from './process.ts';

/** The measurements of a broker besides those of its API. */
export interface BrokerMeasures {
  /** The time of each commit to the journal, in seconds. */
  readonly durable: Histogram;
  /** The time of each call of an extension, in seconds. */
  readonly extensions: Histogram;
}

/** Upper bounds in seconds: from a fast disk to one that hangs. */
const commitBounds = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createBrokerMeasures(): BrokerMeasures {
  return { durable: createHistogram(commitBounds), extensions: createHistogram(callBounds) };
}

export interface BrokerSources extends BrokerMeasures {
  readonly store: { readonly journalBytes?: number };
  readonly backups: Pick<Backups, 'lastWell'>;
  /** The listeners, once they are open. */
  listeners(): Listeners | undefined;
  /** The number of lost lines of the log; undefined where they are not counted. */
  lostLines(): number | undefined;
  /** The counts of lines of the audit trail; undefined where there is none. */
  audit(): AuditCounts | undefined;
}

/** Returns all metrics with their present values. */
export function createBrokerMetrics(sources: BrokerSources): () => Metric[] {
  const { store, durable, extensions, backups } = sources;
  const ofProcess = createProcessMetrics();
  const expiryOf = createExpiry();
  return () => {
    const open = sources.listeners();
    return [
      ...ofJournal(store.journalBytes, durable),
      histogram('bpbroker_extension_duration_seconds', 'How long calls of extensions ran.', extensions),
      ...(open ? ofListeners(open, expiryOf) : []),
      ...maybe(
        'gauge',
        'bpbroker_backup_last_success_timestamp_seconds',
        'When a backup was last made, or found complete: seconds since 1970.',
        seconds(backups.lastWell()),
      ),
      ...maybe(
        'counter',
        'bpbroker_log_lines_lost_total',
        'Lines of the log that could not be written.',
        sources.lostLines(),
      ),
      ...ofAudit(sources.audit()),
      ...ofProcess(),
    ];
  };
}

/** A registry in etcd has no journal. */
function ofJournal(bytes: number | undefined, durable: Histogram): Metric[] {
  if (bytes === undefined) return [];
  return [
    singleMetric('gauge', 'bpbroker_journal_bytes', 'Size of the journal that is written to.', bytes),
    histogram(
      'bpbroker_journal_commit_duration_seconds',
      'Time to write a batch of changes to the journal and sync it (fdatasync).',
      durable,
    ),
  ];
}

function ofAudit(counts: AuditCounts | undefined): Metric[] {
  return counts ? auditMetrics(counts) : [];
}

function ofListeners(open: Listeners, expiryOf: (pem: string) => number): Metric[] {
  return [
    ...maybe('gauge', 'bpbroker_connections', 'Connections (TCP) that are open.', open.connections()),
    labelledMetric(
      'counter',
      'bpbroker_discovery_queries_total',
      'Datagrams of discovery, by their outcome.',
      'outcome',
      outcomesOf(open.discovered()),
    ),
    singleMetric(
      'gauge',
      'bpbroker_certificate_expiry_timestamp_seconds',
      'When the certificate expires: seconds since 1970.',
      expiryOf(open.certificate),
    ),
  ];
}

function outcomesOf({ received: _all, notHeld, open, ...rest }: ResponderStats): Record<string, number> {
  return { ...rest, not_held: notHeld, open_form: open };
}

/** The end of a certificate (PEM) in seconds since 1970; each certificate is parsed once. */
function createExpiry(): (pem: string) => number {
  let last = { pem: '', expiry: Number.NaN };
  return (pem) => {
    if (pem !== last.pem) last = { pem, expiry: Date.parse(new X509Certificate(pem).validTo) / 1000 };
    return last.expiry;
  };
}

function histogram(name: string, help: string, measured: Histogram): Metric {
  return { name, help, type: 'histogram', samples: [{ value: measured.distribution() }] };
}

function maybe(type: 'counter' | 'gauge', name: string, help: string, value: number | undefined): Metric[] {
  return value === undefined ? [] : [singleMetric(type, name, help, value)];
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
