import type { Reply } from '../../modules/module.ts';
import { VERSION } from '../../protocol/version.ts';
import type { Store } from '../../store/store.ts';
import type { Readiness } from '../readiness.ts';
import { EXPOSITION_TYPE, expositionOf } from './exposition.ts';
import { labelledMetric, type Metric, singleMetric } from './metric.ts';

export interface MetricsSources {
  readonly registry: Pick<Store, 'revision' | 'count' | 'health'>;
  readonly readiness: () => Readiness;
  /** The API's measurements of itself. */
  readonly measures: { metrics(): readonly Metric[] };
  /** The open event streams. */
  readonly streams: { readonly streams: number };
  /** More metrics, from the program that serves the API. */
  readonly others: () => readonly Metric[];
}

/** The answer of `GET /metrics` to an allowed caller, with the present values. */
export async function metricsReply(sources: MetricsSources): Promise<Reply> {
  const { registry, measures, streams, others } = sources;
  // This comes first, so that all values are of one moment.
  const entries = await registry.count('');
  const metrics = [
    build,
    ...ofReadiness(sources.readiness()),
    ...ofRegistry(registry, entries),
    ...measures.metrics(),
    singleMetric(
      'gauge',
      'bpbroker_event_streams',
      'Event streams (watches) that are open.',
      streams.streams,
    ),
    ...others(),
  ];
  return { contentType: EXPOSITION_TYPE, body: expositionOf(metrics) };
}

const build: Metric = {
  name: 'bpbroker_build_info',
  help: 'Always 1; the version is a label.',
  type: 'gauge',
  samples: [{ labels: { version: VERSION }, value: 1 }],
};

function ofReadiness({ ready, checks, warnings }: Readiness): Metric[] {
  const free = checks['disk']?.free_bytes;
  const ok = Object.entries(checks).map(([name, check]) => [name, Number(check.ok)]);
  return [
    singleMetric(
      'gauge',
      'bpbroker_ready',
      'Whether the broker can do all of its work: what /readyz says.',
      Number(ready),
    ),
    labelledMetric(
      'gauge',
      'bpbroker_check_ok',
      'Whether a check of /readyz is ok.',
      'check',
      Object.fromEntries(ok) as Record<string, number>,
    ),
    labelledMetric(
      'gauge',
      'bpbroker_warning',
      'Always 1, for each present warning: what /readyz says.',
      'id',
      Object.fromEntries(warnings.map(({ id }) => [id, 1])),
    ),
    ...(free === undefined
      ? []
      : [
          singleMetric(
            'gauge',
            'bpbroker_disk_free_bytes',
            'Free bytes on the disk of the registry, at the last self-check.',
            free,
          ),
        ]),
  ];
}

function ofRegistry(registry: MetricsSources['registry'], entries: number): Metric[] {
  const { writable, usage } = registry.health();
  const size = usage && [
    singleMetric(
      'gauge',
      'bpbroker_registry_bytes',
      'The part of the limit that the entries use.',
      usage.bytes,
    ),
    singleMetric('gauge', 'bpbroker_registry_max_bytes', 'The limit of the registry.', usage.maxBytes),
  ];
  return [
    singleMetric('gauge', 'bpbroker_registry_entries', 'Entries in the registry.', entries),
    singleMetric('gauge', 'bpbroker_registry_revision', 'Revision of the last write.', registry.revision),
    singleMetric('gauge', 'bpbroker_registry_writable', 'Whether writes are accepted.', Number(writable)),
    ...(size ?? []),
  ];
}
