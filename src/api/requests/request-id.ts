import type { Reply } from '../../modules/module.ts';

/**
 * The header in which a request may bring its own id, and in which an answer repeats the id of its lines in
 * the log.
 */
const REQUEST_ID = 'x-request-id';

/**
 * The ids that a proxy or a client may choose: short, one word, and nothing that a log or a terminal must
 * escape.
 */
const plain = /^[\w.:-]{1,64}$/;

/** The ids of requests whose id has been read. */
const known = new WeakMap<Request, string>();

/**
 * The id of a request: its own one, if that is short and plain, else one of 48 random bits, which is enough
 * to identify a line of the log. Only failures and logged calls read it: to read a header costs Node more
 * than to look up an entry.
 */
export function requestIdOf(request: Request): string {
  let id = known.get(request);
  if (id === undefined) {
    const given = request.headers.get(REQUEST_ID);
    id = given !== null && plain.test(given) ? given : crypto.randomUUID().slice(-12);
    known.set(request, id);
  }
  return id;
}

/** The answer with the id of its request as a header. */
export function withRequestId(reply: Reply, request: Request): Reply {
  return { ...reply, headers: { ...reply.headers, [REQUEST_ID]: requestIdOf(request) } };
}
