import type { WaitObserver, WaitOutcome } from '../../modules/services/wait.ts';
import { params } from '../../protocol/registry/services-params.ts';
import type { KeyRefusal } from '../access/access-keys.ts';
import { createHistogram, type Histogram } from './histogram.ts';
import { labelledMetric, type Metric, singleMetric } from './metric.ts';
import { createRequestMeter, type RequestMeter } from './request-meter.ts';

/** The measurements of a serving API. */
export interface Measures {
  readonly requests: RequestMeter;
  readonly waits: WaitObserver;
  /** An access key was refused. */
  refused(why: KeyRefusal): void;
  metrics(): readonly Metric[];
}

/** Upper bounds, in seconds. */
const waitBounds = [0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMeasures(): Measures {
  const requests = createRequestMeter({ ping: ['Ping'], services: Object.keys(params) });
  const refusals: Record<KeyRefusal, number> = { missing: 0, wrong: 0, limited: 0 };
  const waited: Record<WaitOutcome, Histogram> = {
    met: createHistogram(waitBounds),
    timeout: createHistogram(waitBounds),
    gone: createHistogram(waitBounds),
  };
  let waiting = 0;
  return {
    requests,
    waits: {
      began() {
        waiting++;
      },
      ended(seconds, outcome) {
        waiting--;
        if (outcome !== undefined) waited[outcome].observe(seconds);
      },
    },
    refused(why) {
      refusals[why]++;
    },
    metrics: () => [
      ...requests.metrics(),
      singleMetric(
        'gauge',
        'bpbroker_waiting_clients',
        'Requests that wait for entries, or to register one.',
        waiting,
      ),
      {
        name: 'bpbroker_wait_duration_seconds',
        help: 'How long requests waited for entries, or to register one, by how the wait ended.',
        type: 'histogram',
        samples: Object.entries(waited).map(([outcome, histogram]) => ({
          labels: { outcome },
          value: histogram.distribution(),
        })),
      },
      labelledMetric(
        'counter',
        'bpbroker_access_key_refusals_total',
        'Calls refused for their access key: none given, a wrong one, or too many wrong ones before.',
        'reason',
        refusals,
      ),
    ],
  };
}
