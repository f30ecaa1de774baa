import { runtime } from '#runtime';
import { readFileSync } from 'node:fs';
import { createApi } from '../../src/api/api.ts';
import { createMeasures, type Measures } from '../../src/api/metrics/measures.ts';
import type { Route } from '../../src/api/metrics/request-meter.ts';
import { builtIn } from '../../src/modules/built-in.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { put } from '../store/support.ts';

/** Serves the API as a broker does, with its requests measured or not: `metered.ts CERT KEY measured|plain`. */
const [, , cert = '', key = '', kind] = process.argv;

/** What a request costs without: nothing is called but an empty function. */
const unmeasured: Measures['requests'] = {
  routeOf: () => 0 as Route,
  routeOfPath: () => 0 as Route,
  answered: () => undefined,
  metrics: () => [],
};

const store = memoryStore();
await store.mutate('bench', put('x'.repeat(100)));
const measures = createMeasures();
const { services, ping } = builtIn(store, measures.waits);
const { fetch } = createApi({
  config: { ping: {}, services: {} },
  registry: store,
  measures: kind === 'plain' ? { ...measures, requests: unmeasured } : measures,
  services,
  modules: new Map(Object.entries({ services, ping })),
  readiness: () => ({ ready: true, checks: {}, warnings: [] }),
  closing: new AbortController().signal,
  log: silentLogger,
  shareHeaders: runtime.sharedHeaders,
});
const { port } = await runtime.serve({
  hostname: '127.0.0.1',
  port: 0,
  cert: readFileSync(cert, 'utf8'),
  key: readFileSync(key, 'utf8'),
  maxBodyBytes: 1024 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  fetch,
});
process.stdout.write(`ready: ${port}\n`);
