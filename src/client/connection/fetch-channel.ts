import { boundedText } from '../../runtime/http/bounded-text.ts';
import type { BrokerUrl } from '../../protocol/addresses/broker-url.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Channel, ChannelRequest, ChannelResponse } from '../../runtime/runtime.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';

/** Replaces the network: `app.fetch` of a mounted app, or the runtime's own `fetch`. */
export type Fetch = (request: Request) => Response | Promise<Response>;

/**
 * A channel that passes its requests to a function. This function decides about connections, and to whom they
 * lead.
 */
export function openFetchChannel({ href, prefix }: BrokerUrl, fetch: Fetch): Channel {
  const origin = href.slice(0, href.length - prefix.length);
  return {
    async request({ method, path, headers, body, signal }) {
      signal?.throwIfAborted();
      const request = new Request(`${origin}${path}`, {
        method,
        headers: { ...headers },
        redirect: 'manual',
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) }),
        ...(signal ? { signal } : {}),
      });
      return toResponse(await untilAborted(attempt(fetch, request, href), signal), href, signal);
    },
    close: () => undefined,
  };
}

async function attempt(fetch: Fetch, request: Request, href: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    throw lost(href, error);
  }
  // A browser shows a redirect this way, without its target.
  if (response.type === 'opaqueredirect')
    throw new BrokerError('internal', `The server at ${href} redirects its callers, which is not followed`);
  return response;
}

function toResponse(response: Response, href: string, signal: ChannelRequest['signal']): ChannelResponse {
  async function* stream(): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    if (!reader) return;
    let isOver = false;
    try {
      for (;;) {
        const read = reader.read().catch((error: unknown) => Promise.reject(lost(href, error)));
        const { done, value } = await untilAborted(read, signal);
        isOver = done;
        if (done) return;
        yield value;
      }
    } finally {
      // The producer of the answer learns that nobody reads on, and decides what to do.
      if (!isOver) reader.cancel().catch(() => undefined);
    }
  }
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    stream,
    text: () => boundedText(stream()),
  };
}

function lost(href: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  return new BrokerError('unreachable', `No broker reached at ${href}: ${messageOf(error)}`, {
    cause: error,
  });
}
