import type { Metric } from '../metrics/metric.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { AuditSink } from './audit.ts';
import { auditMetrics } from './metrics.ts';
import type { AuditRecord } from './record.ts';

/** An audit trail that a function of the embedding program writes. */
export interface FunctionSink {
  readonly sink: AuditSink;
  metrics(): readonly Metric[];
}

export function createFunctionSink(
  write: (record: AuditRecord) => void | Promise<void>,
  log: Logger,
): FunctionSink {
  let lines = 0;
  let lost = 0;
  let isFailing = false;
  return {
    sink: {
      isOn: true,
      withData: false,
      isRequired: false,
      problem: () => undefined,
      async write(record) {
        try {
          await write(record);
          lines++;
          if (isFailing) log.info('the audit trail is written again', { lost });
          isFailing = false;
          return true;
        } catch (error) {
          lost++;
          if (!isFailing) log.error('the audit trail cannot be written', { reason: messageOf(error) });
          isFailing = true;
          return false;
        }
      },
    },
    metrics: () => auditMetrics({ lines, lost }),
  };
}
