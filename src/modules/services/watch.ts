import { lifetimeOf, visibleData } from '../../protocol/registry/entry.ts';
import { messageOf } from '../../protocol/errors.ts';
import { toJson } from '../../protocol/formats/json.ts';
import type { Store, WatchItem, WatchOptions } from '../../store/store.ts';
import { withKeepAlive } from '../keep-alive.ts';
import { sharedText } from '../shared-text.ts';

/** Sent while nothing changes, so that both ends notice a connection that has died. */
const HEARTBEAT_MS = 15_000;

/**
 * The changes of a watch as Server-Sent Events (WHATWG HTML, section 9.2): the change's type as event, its revision as
 * id, a JSON object as data. The first event, `watching`, carries the revision that the watch begins at; a comment is sent
 * every 15 s.
 */
export async function* eventStream(store: Store, options: WatchOptions): AsyncGenerator<string | Uint8Array> {
  const changes = store.watch(options);
  try {
    // Tells the client that the watch is open, and the revision to resume from if it breaks before the first
    // change.
    yield eventOf({ type: 'watching', revision: options.after ?? store.revision });
    for await (const item of withKeepAlive(changes, HEARTBEAT_MS)) {
      yield item === undefined ? ': still here\n\n' : itemText(item);
    }
  } catch (error) {
    yield `event: error\ndata: ${toJson({ type: 'error', message: messageOf(error) })}\n\n`;
  } finally {
    await changes.return?.();
  }
}

/** The first event of a stream. */
interface Watching {
  readonly type: 'watching';
  readonly revision: number;
}

/** A change is one object for all watches that report it. */
const itemText = sharedText<WatchItem>(eventOf);

function eventOf(item: WatchItem | Watching): string {
  const { type, revision } = item;
  const entry = type === 'put' ? item.entry : undefined;
  const data = {
    type,
    ...('name' in item ? { name: item.name } : {}),
    revision,
    ...(entry
      ? {
          data: visibleData(entry.data),
          last_write_ts: entry.lastWriteTs,
          last_write_ip: entry.lastWriteIp,
          ...lifetimeOf(entry),
        }
      : {}),
  };
  return `event: ${type}\nid: ${revision}\ndata: ${toJson(data)}\n\n`;
}
