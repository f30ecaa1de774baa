import type { Reply } from './module.ts';

/**
 * An answer with status 200 whose body is made when it is first read. An answer that waits for its reader takes
 * no memory of its own until then, only what `make` needs.
 */
export function laterReply(make: () => Reply['body']): Reply {
  let body: Reply['body'] | undefined;
  return {
    status: 200,
    get body() {
      return (body ??= make());
    },
  };
}
