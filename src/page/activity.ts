import type { BrokerApi } from './broker-api.ts';
import { element } from './element.ts';
import { readExposition, type Samples, total } from './exposition.ts';
import { bytes, duration, latency, quantity } from './format.ts';
import { createPlot, type Plot } from './plot.ts';

/** Plots of what the broker does, extensions with their latest calls, and figures of the process, from `/metrics`. */
export interface Activity {
  /** Reads the metrics once. Rejects when the broker does not answer. */
  poll(): Promise<void>;
}

export interface ActivityOptions {
  readonly api: BrokerApi;
  readonly plots: HTMLElement;
  readonly extensions: HTMLElement;
  readonly process: HTMLElement;
  readonly now: () => number;
}

type Labels = Readonly<Record<string, string>>;

/** How a plot's value follows from two readings, `seconds` apart. */
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
      const now = total(samples, name, fits);
      // A counter that has fallen belongs to a broker that was started anew.
      return now === undefined ? undefined : Math.max(0, now - (total(before, name, fits) ?? 0)) / seconds;
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

const REQUESTS = 'bpbroker_http_request_duration_seconds_count';
const of = (route: string) => (labels: Labels) => labels['route'] === `/services/${route}`;

const series: readonly Series[] = [
  rate('Registrations', REQUESTS, of('Register')),
  rate('Gets', REQUESTS, of('Get')),
  rate('Discovery answers', 'bpbroker_discovery_queries_total', ({ outcome }) => outcome === 'answered'),
  gauge('Waiting clients', 'bpbroker_waiting_clients'),
  mean('Time of fsync', 'bpbroker_fsync_duration_seconds'),
];

export function createActivity({ api, plots, extensions, process, now }: ActivityOptions): Activity {
  let last: { readonly samples: Samples; readonly at: number } | undefined;
  let drawn: Map<Series, Plot> | undefined;

  /** Those that this broker has: an app without files has no fsync. */
  function plotsOf(samples: Samples): Map<Series, Plot> {
    const there = series.filter((item) => item.value(samples, samples, 1) !== undefined);
    const made = new Map(there.map((item) => [item, createPlot(item.title, item.format)] as const));
    plots.replaceChildren(...[...made.values()].map(({ figure }) => figure));
    return made;
  }

  function drawExtensions(samples: Samples): void {
    const calls = new Map<string, { count: number; failed: number; at: number }>();
    for (const { labels, value } of samples.get('bpbroker_extension_calls_total') ?? []) {
      const module = labels['module'] ?? '';
      const known = calls.get(module) ?? { count: 0, failed: 0, at: 0 };
      known.count += value;
      if (labels['outcome'] !== 'ok') known.failed += value;
      calls.set(module, known);
    }
    for (const { labels, value } of samples.get('bpbroker_extension_last_call_timestamp_seconds') ?? []) {
      const known = calls.get(labels['module'] ?? '');
      if (known) known.at = Math.max(known.at, value);
    }
    const rows = [...calls].map(([module, { count, failed, at }]) => {
      const when = at === 0 ? 'not called yet' : `${duration(now() - at)} ago`;
      const failures = failed === 0 ? '' : `, ${quantity(failed)} failed`;
      const text = `${quantity(count)} ${count === 1 ? 'call' : 'calls'}${failures}; ${when}`;
      return element('li', {}, element('strong', { text: module }), element('span', { text }));
    });
    const none = element('li', {
      class: 'quiet',
      text: 'No extension has been called since the broker started.',
    });
    extensions.replaceChildren(...(rows.length > 0 ? rows : [none]));
  }

  function drawProcess(samples: Samples): void {
    const started = total(samples, 'process_start_time_seconds');
    const memory = total(samples, 'process_resident_memory_bytes');
    const facts: readonly (readonly [string, string | undefined])[] = [
      ['Up for', started === undefined ? undefined : duration(now() - started)],
      ['Memory', memory === undefined ? undefined : bytes(memory)],
    ];
    process.replaceChildren(
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
      drawExtensions(samples);
      drawProcess(samples);
    },
  };
}
