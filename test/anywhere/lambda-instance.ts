import { PassThrough } from 'node:stream';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { serve } from '@hono/node-server';

/**
 * One instance of a function on AWS Lambda, with AWS's part between it and the requests. That is the events
 * of payload format 2.0, and the part of the runtime client that a handler sees. Like Lambda, it sends the
 * function one event at a time.
 *
 * `node lambda-instance.ts FRONT HANDLER`: `gateway` for an API Gateway (HTTP API), `url` for a function URL,
 * `stream` for one that streams; the module that exports `handler`.
 */
const [front = '', module = ''] = process.argv.slice(2);

/** The address that AWS says a request is from. */
const SOURCE = '198.51.100.23';
const HOST =
  front === 'gateway'
    ? 'a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com'
    : 'q7nw2vbqhpzuabcdefghijklmn0oplee.lambda-url.eu-central-1.on.aws';

type Event = Readonly<Record<string, unknown>>;

interface Result {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

type Handler = (event: Event, ...rest: readonly unknown[]) => Promise<Result | undefined>;

/** What a streaming handler writes to: its status and headers go out before the first bytes. */
class ResponseStream extends PassThrough {
  prelude = '';
  readonly begun: PromiseWithResolvers<void> = Promise.withResolvers();

  override write(...args: [chunk: unknown, ...rest: never[]]): boolean {
    this.begun.resolve();
    return super.write(...args);
  }
}

// There before a function is loaded.
Object.assign(globalThis, {
  awslambda: {
    streamifyResponse: (handler: Handler) => handler,
    HttpResponseStream: {
      from(stream: ResponseStream, prelude: unknown): ResponseStream {
        stream.prelude = JSON.stringify(prelude);
        return stream;
      },
    },
  },
});
const { handler } = (await import(pathToFileURL(path.resolve(module)).href)) as { handler: Handler };

let free: Promise<void> = Promise.resolve();

async function answer(request: Request): Promise<Response> {
  const event = await eventOf(request);
  const before = free;
  const { promise, resolve: release } = Promise.withResolvers<void>();
  free = promise;
  await before;
  if (front === 'stream') return await streamed(event, request.signal, release);
  try {
    return responseOf(await handler(event, contextOf()));
  } finally {
    release();
  }
}

function contextOf(): object {
  return {
    functionName: 'registry',
    functionVersion: '$LATEST',
    memoryLimitInMB: '256',
    awsRequestId: crypto.randomUUID(),
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => 29_000,
  };
}

/** The event that AWS makes of a request: there is no cookie, and so no `cookies`. */
async function eventOf(request: Request): Promise<Event> {
  const url = new URL(request.url);
  const bytes = Buffer.from(await request.arrayBuffer());
  // Only what is sure to be text comes as text.
  const isText = /^(?:application\/json|text\/)/.test(request.headers.get('content-type') ?? '');
  const query = [...url.searchParams];
  const [subdomain = ''] = HOST.split('.');
  const now = new Date();
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: decodeURI(url.pathname),
    rawQueryString: url.search.slice(1),
    headers: {
      accept: '*/*',
      ...Object.fromEntries(request.headers),
      ...(bytes.length > 0 && { 'content-length': String(bytes.length) }),
      host: HOST,
      'x-amzn-trace-id': 'Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e',
      'x-forwarded-for': SOURCE,
      'x-forwarded-port': '443',
      'x-forwarded-proto': 'https',
    },
    ...(query.length > 0 && { queryStringParameters: Object.fromEntries(query) }),
    requestContext: {
      accountId: front === 'gateway' ? '123456789012' : 'anonymous',
      apiId: subdomain,
      domainName: HOST,
      domainPrefix: subdomain,
      http: {
        method: request.method,
        path: decodeURI(url.pathname),
        protocol: 'HTTP/1.1',
        sourceIp: SOURCE,
        userAgent: request.headers.get('user-agent') ?? '',
      },
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: '$default',
      stage: '$default',
      time: now.toUTCString(),
      timeEpoch: now.getTime(),
    },
    ...(bytes.length > 0 && { body: bytes.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: bytes.length > 0 && !isText,
  };
}

function responseOf(result: Result | undefined): Response {
  if (!result) throw new Error('The function has given no result');
  const { body, isBase64Encoded, statusCode: status, headers } = result;
  return new Response(isBase64Encoded ? Buffer.from(body, 'base64') : body, { status, headers });
}

async function streamed(event: Event, signal: AbortSignal, release: () => void): Promise<Response> {
  const stream = new ResponseStream();
  // Lambda tells no function that its reader has gone, and ends it at its timeout. Here both come at once.
  signal.addEventListener('abort', () => stream.destroy());
  stream.on('error', () => undefined).once('close', release);
  const ended = handler(event, stream, contextOf()).then(() => stream.begun.resolve());
  await Promise.race([stream.begun.promise, ended]);
  const { statusCode: status, headers } = JSON.parse(stream.prelude) as Result;
  return new Response(PassThrough.toWeb(stream).readable as ReadableStream<Uint8Array>, { status, headers });
}

serve({ hostname: '127.0.0.1', port: 0, fetch: answer }, ({ port }) => {
  process.stdout.write(`listening on http://127.0.0.1:${port}\n`);
});
