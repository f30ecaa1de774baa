import { openHttpConnection } from './fleet/http-connection.ts';

/**
 * Asks a broker the same question a thousand times a second, whether or not earlier answers have come.
 * Arguments: the port, the path, the body as JSON. It says `ready` once all lines are open, and when it is
 * asked to end prints its results, as a {@link Sample} each.
 */
const [port = '', path = '', body = ''] = process.argv.slice(2);
const LINES = 64;
const TICK_MS = 1;
/** Beyond what the machine can send, nothing is owed. */
const MOST_AT_ONCE = 8;

/** When it was asked, in Unix milliseconds, and how many milliseconds its answer took. */
export type Sample = readonly [at: number, ms: number];

const never = new AbortController().signal;
const question = JSON.parse(body) as object;
const free = await Promise.all(
  Array.from({ length: LINES }, () =>
    openHttpConnection({ port: Number(port), from: '127.250.0.1', signal: never }),
  ),
);
const samples: Sample[] = [];

async function ask(): Promise<void> {
  // In turn, so that none is idle for as long as the broker closes it.
  const line = free.shift();
  // All lines wait: what is asked later would wait no less than these do.
  if (!line) return;
  const at = Date.now();
  const began = performance.now();
  const { status } = await line.request('POST', path, question);
  samples.push([at, status === 200 ? performance.now() - began : Infinity]);
  free.push(line);
}

let before = performance.now();
setInterval(() => {
  const now = performance.now();
  const due = Math.min(MOST_AT_ONCE, Math.max(1, Math.round((now - before) / TICK_MS)));
  before = now;
  for (let i = 0; i < due; i++) void ask();
}, TICK_MS);
process.on('message', () => {
  process.send?.(samples, () => process.exit(0));
});
process.send?.('ready');
