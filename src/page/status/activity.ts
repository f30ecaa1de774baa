import type { BrokerApi } from '../api/broker-api.ts';
import { element, updateChildren } from '../element.ts';
import { readExposition, type Samples, total } from '../api/exposition.ts';
import { bytes, duration, latency, quantity } from '../format.ts';
import { createPlot, type Plot } from './plot.ts';

/** Plots of the broker's activity, and figures of the process, from `/metrics`. */
export interface Activity {
  /** Reads the metrics once. Rejects when the broker does not answer. */
  poll(): Promise<void>;
}

export interface ActivityOptions {
  readonly api: BrokerApi;
  readonly plots: HTMLElement;
  readonly process: HTMLElement;
  readonly now: () => number;
}

type Labels = Readonly<Record<string, string>>;

/** How the value of a plot is computed from two readings, `seconds` apart. */
interface Series {
  readonly title: string;
  readonly format: (value: number) => string;
  value(samples: Samples, before: Samples, seconds: number): number | undefined;
}

const perSecond = (value: number): string => `${quantity(value)}/s`;

function rate(title: string, name: string, fits?: (labels: Labels) => boolean): Series {
  return {
    title,
    format: perSecond,
    value(samples, before, seconds) {
      if (!samples.has(name)) return undefined;
      // A counter falls when the broker has restarted. A counter that does not exist yet has counted nothing.
      const risen = (total(samples, name, fits) ?? 0) - (total(before, name, fits) ?? 0);
      return Math.max(0, risen) / seconds;
    },
  };
}

function gauge(title: string, name: string): Series {
  return { title, format: quantity, value: (samples) => total(samples, name) };
}

/** The mean of a histogram's observations between two readings. */
function mean(title: string, name: string): Series {
  return {
    title,
    format: latency,
    value(samples, before) {
      const count = (total(samples, `${name}_count`) ?? 0) - (total(before, `${name}_count`) ?? 0);
      const sum = (total(samples, `${name}_sum`) ?? 0) - (total(before, `${name}_sum`) ?? 0);
      if (total(samples, `${name}_count`) === undefined) return undefined;
      return count > 0 ? sum / count : 0;
    },
  };
}

const REQUESTS = 'bpbroker_http_requests_total';
const of =
  (...methods: readonly string[]) =>
  (labels: Labels) =>
    methods.some((method) => labels['route'] === `/services/${method}`);

const series: readonly Series[] = [
  rate('Registrations', REQUESTS, of('Register')),
  rate('Writes', REQUESTS, of('Register', 'Replace', 'Update', 'Delete')),
  rate('Gets', REQUESTS, of('Get')),
  rate('Discovery answers', 'bpbroker_discovery_queries_total', ({ outcome }) => outcome === 'answered'),
  gauge('Waiting clients', 'bpbroker_waiting_clients'),
  gauge('Watches', 'bpbroker_event_streams'),
  mean('Time of a commit', 'bpbroker_journal_commit_duration_seconds'),
  rate('Calls of extensions', 'bpbroker_extension_duration_seconds_count'),
];

export function createActivity({ api, plots, process, now }: ActivityOptions): Activity {
  let last: { readonly samples: Samples; readonly at: number } | undefined;
  let drawn: Map<Series, Plot> | undefined;

  /** The plots of this broker: an app without files has no fsync, nor has a registry in etcd. */
  function plotsOf(samples: Samples): Map<Series, Plot> {
    const there = series.filter((item) => item.value(samples, samples, 1) !== undefined);
    const made = new Map(there.map((item) => [item, createPlot(item.title, item.format)] as const));
    plots.replaceChildren(...[...made.values()].map(({ figure }) => figure));
    return made;
  }

  function drawProcess(samples: Samples): void {
    const started = total(samples, 'process_start_time_seconds');
    const memory = total(samples, 'process_resident_memory_bytes');
    const facts: readonly (readonly [string, string | undefined])[] = [
      ['Up for', started === undefined ? undefined : duration(now() - started)],
      ['Memory', memory === undefined ? undefined : bytes(memory)],
    ];
    updateChildren(
      process,
      ...facts.flatMap(([name, value]) =>
        value === undefined ? [] : [element('dt', { text: name }), element('dd', { text: value })],
      ),
    );
  }

  return {
    async poll() {
      const samples = readExposition(await api.text('metrics'));
      const at = performance.now();
      drawn ??= plotsOf(samples);
      if (last) {
        for (const [item, plot] of drawn) plot.add(item.value(samples, last.samples, (at - last.at) / 1000));
      }
      last = { samples, at };
      drawProcess(samples);
    },
  };
}
