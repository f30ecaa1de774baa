import { type EntryData, toEntryData } from '../../protocol/data.ts';
import { type Entry, stamp } from '../../protocol/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { MutationResult, Store } from '../../store/store.ts';
import { type Call, defineMethod, defineModule, type Module, type Reply, success } from '../module.ts';
import { sharedText } from '../shared-text.ts';
import { register, remove, renew, replace, update, type Write } from './mutations.ts';
import {
  type GetParams,
  type ListParams,
  MAX_PAGE,
  params,
  type WriteParams,
} from '../../protocol/services.ts';
import { createPages, type Pages } from './pages.ts';
import { waitAtMost, type WaitObserver } from './wait.ts';
import { eventStream } from './watch.ts';

/** The module `services`: the registry over the API (contract, sections 3 and 5). */
export function createServices(store: Store, waits?: WaitObserver): Module {
  const pages = createPages(store);
  const { Register, Replace, Update, Delete, Renew, Get, List, Watch } = params;
  return defineModule({
    Register: defineMethod({
      params: Register,
      run: async (p, call) =>
        written(await store.mutate(p.name, register(writeOf(p, call), p.if_same ?? false))),
    }),
    Replace: defineMethod({
      params: Replace,
      run: async (p, call) => written(await store.mutate(p.name, replace(writeOf(p, call), p.if_revision))),
    }),
    Update: defineMethod({
      params: Update,
      run: async (p, call) => written(await store.mutate(p.name, update(writeOf(p, call), p.if_revision))),
    }),
    Delete: defineMethod({
      params: Delete,
      run: async (p) => success({}, (await store.mutate(p.name, remove(p.name, p.if_revision))).revision),
    }),
    Renew: defineMethod({
      params: Renew,
      run: async (p) => written(await store.mutate(p.name, renew(p.name, p.if_revision))),
    }),
    Get: defineMethod({ safe: true, params: Get, run: (p, call) => get(store, p, call, waits) }),
    List: defineMethod({ safe: true, params: List, run: (p, call) => list(store, pages, p, call, waits) }),
    Watch: defineMethod({
      safe: true,
      params: Watch,
      run({ name, prefix, after }, call) {
        if (name !== undefined && prefix !== undefined) {
          throw new BrokerError('invalid_request', "Give 'name' or 'prefix', not both");
        }
        call.keepOpen();
        const resume = after ?? lastEventId(call);
        const scope = name === undefined ? { prefix: prefix ?? '' } : { name };
        const options = {
          ...scope,
          ...(resume === undefined ? {} : { after: resume }),
          signal: call.signal,
          // Who does not read is not told either: only its connection can be closed, and resumed by who lives.
          onBehind: () => call.drop(),
        };
        return { contentType: 'text/event-stream', body: eventStream(store, options) };
      },
    }),
  });
}

function writeOf(p: WriteParams, call: Call): Write {
  const data: EntryData = toEntryData(p.data);
  return {
    name: p.name,
    data,
    ttlMs: p.ttl,
    clientAddress: call.clientAddress,
    now: Math.floor(Date.now() / 1000),
  };
}

function written(result: MutationResult): Reply {
  if (!result.entry) throw new BrokerError('internal', 'The store gave no entry back');
  return success(stamp(result.entry), result.entry.revision);
}

/** Entries are never changed in place, so the text made for one read serves every other. */
const texts = new WeakMap<Entry, string>();
/** Longer ones cost more to keep than to make, and are shared while they are sent. */
const answerText = sharedText((entry: Entry) => success(stamp(entry), entry.revision).body as string);

function entryReply(entry: Entry): Reply {
  const kept = texts.get(entry);
  if (kept !== undefined) return { body: kept };
  const body = answerText(entry);
  if (typeof body === 'string') texts.set(entry, body);
  return { body };
}

function get(store: Store, asked: GetParams, call: Call, waits?: WaitObserver): Promise<Reply> | Reply {
  const entry = store.peek?.(asked.name);
  return entry ? entryReply(entry) : getLater(store, asked, call, waits);
}

async function getLater(
  store: Store,
  { name, wait = 0 }: GetParams,
  call: Call,
  waits?: WaitObserver,
): Promise<Reply> {
  let entry: Entry | undefined = await store.get(name);
  if (!entry && wait > 0) {
    entry = await waitAtMost(wait, call, (signal) => store.waitForEntry(name, signal), waits);
  }
  if (!entry) throw new BrokerError('not_found', `Entry '${name}' not found`);
  return entryReply(entry);
}

async function list(
  store: Store,
  pages: Pages,
  p: ListParams,
  call: Call,
  waits?: WaitObserver,
): Promise<Reply> {
  const { prefix = '', after, limit = MAX_PAGE, wait = 0, wait_count: wanted, entries = true } = p;
  if (wait > 0 && wanted === undefined) {
    throw new BrokerError(
      'invalid_request',
      "Parameter 'wait' needs 'wait_count': how many entries to wait for",
    );
  }
  const reached =
    wait > 0
      ? await waitAtMost(wait, call, (signal) => store.waitForCount(prefix, wanted ?? 0, signal), waits)
      : undefined;
  if (entries) return await pages.reply({ prefix, limit, ...(after === undefined ? {} : { after }) });
  // The revision once it has been counted: what changed meanwhile is in the count.
  const { revision, count } = reached ?? { count: await store.count(prefix), revision: store.revision };
  return success({ entries: [], count }, revision);
}

function lastEventId(call: Call): number | undefined {
  const id = call.header('last-event-id');
  if (id === undefined || id === '') return undefined;
  if (!/^\d{1,15}$/.test(id)) {
    throw new BrokerError(
      'invalid_request',
      `Invalid Last-Event-ID '${id}': expected the id of an event of this watch`,
    );
  }
  return Number(id);
}
