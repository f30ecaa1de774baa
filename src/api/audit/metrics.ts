import { type Metric, singleMetric } from '../metrics/metric.ts';

/** The counts of lines of an audit trail since the start. */
export interface AuditCounts {
  readonly lines: number;
  readonly lost: number;
}

export function auditMetrics({ lines, lost }: AuditCounts): Metric[] {
  return [
    singleMetric(
      'counter',
      'bpbroker_audit_lines_total',
      'Lines of the audit trail that were written.',
      lines,
    ),
    singleMetric(
      'counter',
      'bpbroker_audit_lines_lost_total',
      'Lines of the audit trail that could not be written.',
      lost,
    ),
  ];
}
