import { bucketOf } from './histogram.ts';
import type { Metric, Sample } from './metric.ts';

/**
 * Counts requests and their times. A request costs two readings of the clock and three additions in an array
 * that is made once. Nothing is allocated, and no text is made, until the numbers are read.
 */
export interface RequestMeter {
  /** The route of a call; all methods and modules that are not built in share one. */
  routeOf(module: string, method: string): Route;
  /** The route of a path of the broker, such as `/healthz`; all unknown paths share one. */
  routeOfPath(path: string): Route;
  /**
   * A request has its answer, or the beginning of one.
   * @param since its beginning, as `performance.now()` returns it.
   * @param isHeld whether it may take long (a wait, an event stream, an extension). Such a request counts,
   * but its time is not among those of the others.
   */
  answered(route: Route, status: number, since: number, isHeld: boolean): void;
  metrics(): readonly Metric[];
}

/** A small number for a route. */
export type Route = number & { readonly route: never };

/** The built-in methods, by module. */
export type BuiltInMethods = Readonly<Record<string, readonly string[]>>;

const paths: readonly string[] = [
  '/',
  '/healthz',
  '/readyz',
  '/metrics',
  '/status',
  '/openapi.json',
  '/identity',
  '/discover',
];
const CALL = '/{module}/{method}';
const UNKNOWN = 'unknown';

/** Upper bounds, in seconds. */
const bounds = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** 1xx to 5xx. */
const CLASSES = 5;
/** The counters of one route and class: its buckets, the sum of its times, and the held requests. */
const SUM = bounds.length + 1;
const HELD = SUM + 1;
const WIDTH = HELD + 1;

export function createRequestMeter(builtIn: BuiltInMethods): RequestMeter {
  const calls = Object.entries(builtIn).flatMap(([module, methods]) =>
    methods.map((method) => `/${module}/${method}`),
  );
  const names = [...calls, CALL, ...paths, UNKNOWN];
  const indexOf = (name: string): Route => names.indexOf(name) as Route;
  const other = indexOf(CALL);
  const unknown = indexOf(UNKNOWN);
  const byModule = new Map(
    Object.entries(builtIn).map(([module, methods]) => [
      module,
      new Map(methods.map((method) => [method, indexOf(`/${module}/${method}`)])),
    ]),
  );
  const numbers = new Float64Array(names.length * CLASSES * WIDTH);
  const at = (index: number): number => numbers[index] ?? 0;

  function samplesOf(read: (base: number) => Sample['value'] | undefined): Sample[] {
    return names.flatMap((route, index) =>
      Array.from({ length: CLASSES }, (_, status) => {
        const value = read((index * CLASSES + status) * WIDTH);
        return value === undefined ? [] : { labels: { route, code: `${status + 1}xx` }, value };
      }).flat(),
    );
  }

  const countOf = (base: number): number => {
    let count = at(base + HELD);
    for (let i = 0; i <= bounds.length; i++) count += at(base + i);
    return count;
  };

  return {
    routeOf: (module, method) => byModule.get(module)?.get(method) ?? other,
    routeOfPath: (path) => (paths.includes(path) ? indexOf(path) : unknown),
    answered(route, status, since, isHeld) {
      // An extension may return any number.
      const statusClass = Math.min(Math.max(Math.floor(status / 100), 1), CLASSES);
      const base = (route * CLASSES + statusClass - 1) * WIDTH;
      if (isHeld) {
        numbers[base + HELD] = at(base + HELD) + 1;
        return;
      }
      const seconds = (performance.now() - since) / 1000;
      const bucket = base + bucketOf(bounds, seconds);
      numbers[bucket] = at(bucket) + 1;
      numbers[base + SUM] = at(base + SUM) + seconds;
    },
    metrics: () => [
      {
        name: 'bpbroker_http_requests_total',
        help: 'Requests by route and class of status.',
        type: 'counter',
        samples: samplesOf((base) => countOf(base) || undefined),
      },
      {
        name: 'bpbroker_http_request_duration_seconds',
        help: 'Time to the answer of requests that are answered at once: no waits, event streams and extensions.',
        type: 'histogram',
        samples: samplesOf((base) =>
          countOf(base) === at(base + HELD)
            ? undefined
            : { bounds, counts: numbers.slice(base, base + SUM), sum: at(base + SUM) },
        ),
      },
    ],
  };
}
