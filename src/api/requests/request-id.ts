import type { Reply } from '../../modules/module.ts';

/** Header in which a request may bring an id of its own, and in which an answer says what its lines of the log have. */
const REQUEST_ID = 'x-request-id';

/** What a proxy or a client may choose: short, one word, and nothing that a log or a terminal would have to escape. */
const plain = /^[\w.:-]{1,64}$/;

/** Of requests that were asked for their id. */
const known = new WeakMap<Request, string>();

/**
 * The id of a request: the one it brings, if that is short and plain, else one of 48 random bits, which is enough to tell the lines
 * of a log apart. Only what fails or is logged asks for it: to look at a header costs Node more than to look up an entry.
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

/** An answer that names its request. */
export function withRequestId(reply: Reply, request: Request): Reply {
  return { ...reply, headers: { ...reply.headers, [REQUEST_ID]: requestIdOf(request) } };
}
