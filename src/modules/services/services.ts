import { type EntryData, toEntryData } from '../../protocol/formats/data.ts';
import { toJson } from '../../protocol/formats/json.ts';
import type { Envelope } from '../../protocol/messages/envelope.ts';
import { type Entry, entryNotFound, lifetimeOf, stamp } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Guard, Mutation, MutationResult, Store } from '../../store/store.ts';
import { type Call, defineMethod, defineModule, type Module, type Reply, success } from '../module.ts';
import { laterReply } from '../later-reply.ts';
import { sharedText } from '../shared-text.ts';
import { trackChange, withChanges } from './changes.ts';
import { register, remove, renew, replace, update, whileLocked, type Write } from './mutations.ts';
import {
  type DeleteParams,
  type GetParams,
  type ListParams,
  type LockParams,
  MAX_PAGE,
  params,
  type RegisterParams,
  type WriteParams,
} from '../../protocol/registry/services-params.ts';
import { deletePrefix } from './delete-prefix.ts';
import { createPageCache, type PageCache } from './page-cache.ts';
import { createQueues, type Queues, removeIfIs } from './registration-queue.ts';
import { waitAtMost, type WaitObserver } from './wait.ts';
import { eventStream } from './watch.ts';

/** The module `services`: the registry over the API (contract, sections 3 and 5). */
export function createServices(store: Store, waits?: WaitObserver): Module {
  const pages = createPageCache(store);
  const queues = createQueues(store);
  const { Register, Replace, Update, Delete, Renew, Get, List, Watch } = params;
  return defineModule({
    Register: defineMethod({
      params: Register,
      run: (p, call) => registerEntry(store, queues, p, call, waits),
    }),
    Replace: defineMethod({
      params: Replace,
      run: (p, call) => write(store, p.name, replace(writeOf(p, call), p.if_revision), guardOf(p)),
    }),
    Update: defineMethod({
      params: Update,
      async run(p, call) {
        const { data, unset = [] } = p;
        if (data === undefined && unset.length === 0)
          throw new BrokerError('invalid_request', "Missing parameter 'data' (or 'unset')");
        const removal = { unset, isAll: data === undefined };
        const own = update(writeOf({ ...p, data: data ?? {} }, call), p.if_revision, removal);
        return await write(store, p.name, own, guardOf(p));
      },
    }),
    Delete: defineMethod({ params: Delete, run: (p) => deleteOf(store, p) }),
    Renew: defineMethod({
      params: Renew,
      run: (p) => write(store, p.name, renew(p.name, p.if_revision)),
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
        // A client that resumes by itself repeats its first request, and says in the header how far it has come.
        const resume = lastEventId(call) ?? after;
        const scope = name === undefined ? { prefix: prefix ?? '' } : { name };
        const options = {
          ...scope,
          ...(resume === undefined ? {} : { after: resume }),
          signal: call.signal,
          // A client that does not read gets no message either: only its connection can be closed. A live
          // client resumes.
          onBehind: () => call.drop(),
        };
        return { contentType: 'text/event-stream', body: eventStream(store, options) };
      },
    }),
  });
}

function guardOf({
  name,
  lock,
  lock_revision: revision,
}: LockParams & { readonly name: string }): Guard | undefined {
  return whileLocked(name, lock, revision);
}

async function registerEntry(
  store: Store,
  queues: Queues,
  p: RegisterParams,
  call: Call,
  waits?: WaitObserver,
): Promise<Reply> {
  const { name, wait = 0, waited = 0, ticket, final = false, if_same: ifSame = false } = p;
  const own = writeOf(p, call);
  const guard = guardOf(p);
  // A wait of 0 counts as well: the time of its client has ended.
  if (p.wait === undefined)
    refuseGiven(p, ['waited', 'ticket', 'final'], "without 'wait': give how long to wait, such as '30s'");
  if (wait === 0) {
    const registration = trackChange(register(own, ifSame));
    return written(await queues.registerNow(name, registration.mutation, guard), registration.isChange);
  }
  if (ifSame || guard)
    throw new BrokerError(
      'invalid_request',
      `Parameter 'wait' has no meaning beside '${ifSame ? 'if_same' : 'lock'}'`,
    );
  const isOver = (): boolean => final || call.signal.aborted;
  const result = await waitAtMost(
    wait,
    call,
    (signal) => queues.register(own, { waited, ticket, signal, isOver }),
    waits,
  );
  if (!result) throw new BrokerError('already_exists', `Entry '${name}' already exists`);
  // The client has gone, so no one would hold the new entry.
  if (call.signal.aborted && result.entry) await store.mutate(name, removeIfIs(result.entry));
  return written(result, true);
}

async function write(store: Store, name: string, mutation: Mutation, guard?: Guard): Promise<Reply> {
  const own = trackChange(mutation);
  return written(await store.mutate(name, own.mutation, guard), own.isChange);
}

async function deleteOf(store: Store, p: DeleteParams): Promise<Reply> {
  const { name, prefix, after, if_revision: ifRevision } = p;
  if (prefix === undefined) {
    if (after !== undefined) throw invalid("Parameter 'after' has no meaning without 'prefix'");
    if (name === undefined) throw invalid("Missing parameter 'name' (or 'prefix')");
    const guard = whileLocked(name, p.lock, p.lock_revision);
    const own = trackChange(remove(name, ifRevision));
    const { revision } = await store.mutate(name, own.mutation, guard);
    const change = own.isChange ? { name, revision, isChange: true } : { name, isChange: false };
    return withChanges(success({}, revision), [change]);
  }
  if (name !== undefined) throw invalid("Give 'name' or 'prefix', not both");
  if (ifRevision !== undefined)
    throw invalid(
      "Parameter 'if_revision' has no meaning with 'prefix': each entry has a revision of its own",
    );
  const guard = whileLocked('', p.lock, p.lock_revision);
  if (guard?.name.startsWith(prefix))
    throw invalid(
      `Lock '${guard.name}' is among the entries under '${prefix}', and the deletion would end it: give another prefix`,
    );
  const { revision, changes, ...batch } = await deletePrefix(store, prefix, { after, guard });
  return withChanges(success(batch, revision), changes);
}

/** A parameter that is taken and then not looked at would leave its caller guessing. */
function refuseGiven<T>(p: T, names: readonly (keyof T & string)[], why: string): void {
  const given = names.find((name) => p[name] !== undefined);
  if (given !== undefined) throw invalid(`Parameter '${given}' has no meaning ${why}`);
}

function invalid(problem: string): BrokerError {
  return new BrokerError('invalid_request', problem);
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

function written({ entry }: MutationResult, isChange: boolean): Reply {
  if (!entry) throw new BrokerError('internal', 'The store returned no entry');
  const { name, revision } = entry;
  const reply = laterReply(() => success(stamp(entry), revision).body);
  return withChanges(reply, [{ name, revision, isChange }]);
}

/** Entries are never changed in place, so the text made for one read serves every other. */
const texts = new WeakMap<Entry, string>();
/** Longer texts cost more to keep than to make, and are shared only while they are sent. */
const answerText = sharedText((entry: Entry) => success(stamp(entry), entry.revision).body as string);

function entryReply(entry: Entry): Reply {
  const kept = texts.get(entry);
  // A getter for the body, as a later reply has, made gets slower.
  return { body: kept ?? textOf(entry) };
}

function textOf(entry: Entry): Reply['body'] {
  const text = answerText(entry);
  if (typeof text === 'string') texts.set(entry, text);
  return text;
}

/** The answer for an entry with a lifetime: the rest of its lifetime is different for every read. */
async function mortalReply(store: Store, entry: Entry): Promise<Reply> {
  const left = await store.lifetimeLeft(entry.name);
  return laterReply(() => {
    const envelope: Envelope = {
      success: true,
      message: 'Success',
      data: stamp(entry),
      revision: entry.revision,
      ...lifetimeOf(entry),
      ...(left === undefined ? {} : { expires_in: Math.round(left) / 1000 }),
    };
    return toJson(envelope);
  });
}

function get(store: Store, asked: GetParams, call: Call, waits?: WaitObserver): Promise<Reply> | Reply {
  const entry = store.peek?.(asked.name);
  return entry && entry.ttlMs === undefined ? entryReply(entry) : getLater(store, asked, call, waits);
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
  if (!entry) throw entryNotFound(name);
  return entry.ttlMs === undefined ? entryReply(entry) : await mortalReply(store, entry);
}

async function list(
  store: Store,
  pages: PageCache,
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
  if (p.wait === undefined)
    refuseGiven(p, ['wait_count'], "without 'wait': give how long to wait, such as '30s'");
  if (!entries) refuseGiven(p, ['after', 'limit'], "where 'entries' is false: the answer has no page");
  const reached =
    wait > 0
      ? await waitAtMost(wait, call, (signal) => store.waitForCount(prefix, wanted ?? 0, signal), waits)
      : undefined;
  if (entries) return await pages.reply({ prefix, limit, ...(after === undefined ? {} : { after }) });
  // The revision is read after the count: the count includes every change until then.
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
