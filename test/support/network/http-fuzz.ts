/** Requests that no client would send, from a seed: the same seed makes the same ones. */

export type Random = () => number;

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One request: bytes at random, a proper one with bytes changed, or one whose parts are odd. */
export function fuzzedRequest(random: Random): Buffer {
  const kind = random();
  if (kind < 0.05) return noise(random, below(random, 600));
  const request = random() < 0.6 ? nearlyRight(random) : oddRequest(random);
  return kind < 0.25 ? changed(random, request) : request;
}

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)] as T;
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => below(random, 256)));
}

/** Flips, inserts, removes and repeats bytes here and there. */
function changed(random: Random, bytes: Buffer): Buffer {
  let now = bytes;
  for (let times = 1 + below(random, 4); times > 0; times--) {
    const at = below(random, now.length + 1);
    const end = Math.min(now.length, at + 1 + below(random, 8));
    const [before, piece, after] = [now.subarray(0, at), now.subarray(at, end), now.subarray(end)];
    const middle = pick(random, [
      noise(random, piece.length),
      Buffer.concat([noise(random, 1 + below(random, 4)), piece]),
      Buffer.alloc(0),
      Buffer.concat([piece, piece]),
      Buffer.from(pick(random, ['\r\n', '\n', '\0', ' ', '\t', ':', '%', '\x1b[31m', '\xff'])),
    ]);
    now = Buffer.concat([before, middle, after]);
  }
  return now;
}

const methods = ['GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'get', 'X'];
const modules = ['services', 'ping', 'ossec', 'api', '_config', 'discover', '__proto__', 'constructor', ''];
const calls = ['Register', 'Replace', 'Update', 'Delete', 'Get', 'List', 'Renew', 'Watch', 'Ping', '_x', ''];
// Few, so that the registry stays small however long this goes on.
const names = ['a', 'b', 'c/d', 'é', '😀', 'x'.repeat(512), 'a b', '%', '+', "'", '"'];
const badNames = [
  '',
  '_access_key',
  '\0',
  '\r\n',
  '\x1b[2J',
  'x'.repeat(513),
  '\ud800',
  '\u009b',
  '../../etc',
];
const values = [
  '',
  '0',
  '-1',
  '1e999',
  '30s',
  '5',
  'true',
  'null',
  '{}',
  '[]',
  '{"a": 1}',
  '{"__proto__": 1}',
];
values.push('12345678901234567890', '{"_str": 5}', '{"last_write_ts": 1}', 'x'.repeat(5000), '\u2028');
const parameters = ['name', 'data', 'ttl', 'if_same', 'if_revision', 'wait', 'wait_count', 'prefix', 'after'];
parameters.push('limit', 'access_key', '__proto__', 'constructor', 'toString', '', 'name ', 'NAME');

/** Calls as clients make them. */
const proper: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['services/Register', { name: '"a"', data: '{"k": [1, {"é": null}]}', if_same: 'true' }],
  ['services/Replace', { name: '"b"', data: '"text"', ttl: '"30s"' }],
  ['services/Update', { name: '"c/d"', data: '{"k": {"x": 1}}', if_revision: '0' }],
  ['services/Delete', { name: '"a"' }],
  ['services/Renew', { name: '"b"', if_revision: '1' }],
  ['services/Get', { name: '"b"', wait: '0' }],
  ['services/List', { prefix: '""', after: '"a"', limit: '5' }],
  ['services/Watch', { prefix: '"a"', after: '0' }],
  ['ping/Ping', { data: '{"a": "b"}' }],
];

/** A call as it should be, but for some of its parameters. */
function nearlyRight(random: Random): Buffer {
  const [path, params] = pick(random, proper);
  const chosen = Object.entries(params).flatMap(([key, value]): [string, string][] => {
    const odds = random();
    if (odds < 0.1 && key !== 'name') return [];
    if (odds < 0.25) return [[key, key === 'name' ? JSON.stringify(oddName(random)) : oddJson(random, 3)]];
    return [[key, value]];
  });
  const headers = ['Host: x', ...(random() < 0.3 ? oddHeaders(random).slice(2) : [])];
  if (random() < 0.3) {
    const query = chosen
      .map(([key, value]) => `${key}=${encodeURIComponent(value.toWellFormed())}`)
      .join('&');
    return head([
      `${pick(random, ['GET', 'POST', 'DELETE'])} /${path}/?${query} HTTP/1.1`,
      ...headers,
      'Content-Length: 0',
    ]);
  }
  const body = Buffer.from(`{${chosen.map(([key, value]) => `"${key}": ${value}`).join(', ')}}`);
  const framing = ['Content-Type: application/json', `Content-Length: ${body.length}`];
  return Buffer.concat([head([`POST /${path} HTTP/1.1`, ...headers, ...framing]), body]);
}

/** The text of a request's parts, each of which may be odd, framed properly most of the time. */
function oddRequest(random: Random): Buffer {
  const body = oddBody(random);
  const query = random() < 0.6 ? `?${oddForm(random)}` : '';
  const method = random() < 0.8 ? pick(random, ['GET', 'POST', 'POST', 'DELETE']) : pick(random, methods);
  const start = `${method} ${oddPath(random)}${query} ${random() < 0.97 ? 'HTTP/1.1' : pick(random, ['HTTP/1.0', 'HTTP/2', 'HTTP/1.1 x', ''])}`;
  const lines = [start, ...oddHeaders(random)];
  if (random() < 0.15) {
    lines.push('Transfer-Encoding: chunked');
    const half = below(random, body.length + 1);
    return Buffer.concat([
      head(lines),
      ...[body.subarray(0, half), body.subarray(half)].flatMap((part) =>
        part.length === 0 ? [] : [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')],
      ),
      Buffer.from(random() < 0.9 ? '0\r\n\r\n' : pick(random, ['0\r\n', 'zz\r\n', 'ffffffffffff\r\n', ''])),
    ]);
  }
  const length = random() < 0.95 ? body.length : pick(random, [0, 1, body.length + 1, 5_000_000, -1, 1e21]);
  lines.push(`Content-Length: ${length}`);
  return Buffer.concat([head(lines), body]);
}

function head(lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

function oddPath(random: Random): string {
  if (random() < 0.75)
    return `/${random() < 0.8 ? 'services' : 'ping'}/${pick(random, calls)}${pick(random, ['', '/'])}`;
  const odd = [
    '/',
    '//',
    '*',
    '/healthz',
    '/readyz',
    '/metrics',
    '/%',
    '/%2e%2e/',
    '/services/%2F',
    '/a/b/c',
    'x',
  ];
  odd.push(
    `/${'a/'.repeat(200)}`,
    `/services/${'%41'.repeat(300)}`,
    'https://x/services/Get',
    '/services/Get#x',
    '/\xff',
  );
  return random() < 0.5 ? pick(random, odd) : `/${pick(random, modules)}/${pick(random, calls)}`;
}

function oddHeaders(random: Random): string[] {
  const lines: string[] = [];
  if (random() < 0.98)
    lines.push(
      `Host: ${random() < 0.9 ? 'x' : pick(random, ['', 'a b', 'x/y', '[::1]', 'x:99999', '\xff'])}`,
    );
  if (random() < 0.9)
    lines.push(
      `Content-Type: ${random() < 0.85 ? 'application/json' : pick(random, ['application/x-www-form-urlencoded', 'text/plain', 'application/json; charset=utf-16', '', ';', 'multipart/form-data; boundary=x'])}`,
    );
  if (random() < 0.1)
    lines.push(
      `Authorization: ${pick(random, ['Bearer', 'Bearer x', 'bearer  \xff', 'Basic eDp5', `Bearer ${'k'.repeat(3000)}`])}`,
    );
  if (random() < 0.1)
    lines.push(`Last-Event-ID: ${pick(random, ['0', '1', '-1', 'x', '99999999999999999999', ''])}`);
  if (random() < 0.1)
    lines.push(`Origin: ${pick(random, ['https://x', 'null', '', 'https://evil.example', '\xff'])}`);
  if (random() < 0.05)
    lines.push(`Sec-Fetch-Site: ${pick(random, ['cross-site', 'none', 'same-origin', ''])}`);
  if (random() < 0.05)
    lines.push(
      pick(random, [
        'Expect: 100-continue',
        'Expect: x',
        'Upgrade: websocket',
        'Connection: close',
        'Connection: x, y',
        'TE: trailers',
        'Cookie: a=b',
        'Content-Encoding: gzip',
      ]),
    );
  if (random() < 0.03) for (let i = below(random, 300); i > 0; i--) lines.push(`h${i}: v`);
  if (random() < 0.02) lines.push(`Big: ${'v'.repeat(below(random, 20_000))}`);
  return lines;
}

function oddBody(random: Random): Buffer {
  const kind = random();
  if (kind < 0.15) return Buffer.alloc(0);
  if (kind < 0.2) return noise(random, below(random, 300));
  if (kind < 0.3) return Buffer.from(oddForm(random));
  if (kind < 0.35) {
    const depth = pick(random, [63, 64, 65, 66, 500, 20_000]);
    const [open, close] = pick(random, [
      ['{"a":', '}'],
      ['[', ']'],
    ] as const);
    return Buffer.from(
      `{"name": "a", "data": ${open.repeat(depth)}1${close.repeat(random() < 0.9 ? depth : 1)}}`,
    );
  }
  if (kind < 0.36) return Buffer.from(`{"name": "a", "data": "${'x'.repeat(below(random, 1_300_000))}"}`);
  const members = Array.from({ length: below(random, 5) }, () => {
    const key = random() < 0.9 ? pick(random, parameters) : pick(random, names);
    return `${JSON.stringify(key)}: ${oddJson(random, 3)}`;
  });
  if (random() < 0.7) members.unshift(`"name": ${JSON.stringify(oddName(random))}`);
  if (random() < 0.6) members.push(`"data": ${oddJson(random, 4)}`);
  return Buffer.from(`{${members.join(', ')}}`);
}

function oddName(random: Random): string {
  return random() < 0.85 ? pick(random, names) : pick(random, badNames);
}

function oddJson(random: Random, depth: number): string {
  const kind = random();
  if (depth > 0 && kind < 0.25) {
    const members = Array.from(
      { length: below(random, 4) },
      () => `${JSON.stringify(pick(random, [...names, ...parameters]))}: ${oddJson(random, depth - 1)}`,
    );
    return `{${members.join(',')}}`;
  }
  if (depth > 0 && kind < 0.35)
    return `[${Array.from({ length: below(random, 4) }, () => oddJson(random, depth - 1)).join(',')}]`;
  if (kind < 0.7) return JSON.stringify(pick(random, [...values, ...names]));
  return pick(random, [
    '0',
    '-0',
    '1',
    '1e308',
    '1e309',
    '12345678901234567890',
    '0.1',
    'true',
    'null',
    'NaN',
    '01',
    '"\\ud800"',
    '"\\u0000"',
    '',
  ]);
}

function oddForm(random: Random): string {
  return Array.from({ length: 1 + below(random, 4) }, (_, i) => {
    const key = i === 0 && random() < 0.7 ? 'name' : pick(random, parameters);
    const value = key === 'name' || key === 'prefix' ? oddName(random) : pick(random, values);
    const encoded =
      random() < 0.9
        ? encodeURIComponent(value.toWellFormed())
        : pick(random, ['%', '%f', '%ff', '%zz', '%c3', '%00', '%0d%0a', '+', '=']);
    return `${encodeURIComponent(key)}=${encoded}`;
  }).join('&');
}
