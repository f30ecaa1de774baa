import type { Call, CallOrigin, Reply } from '../../modules/module.ts';
import { changesOf, type EntryChange } from '../../modules/services/changes.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { comesInParts } from '../requests/response.ts';
import { auditedReply } from './audited-reply.ts';
import { type AuditEvent, type AuditRecord, boundedData, boundedText } from './record.ts';
import { createRefusals } from './refusals.ts';

/** The target of the lines of the audit trail. */
export interface AuditSink {
  /** Whether there is a trail now. */
  readonly isOn: boolean;
  /** Whether lines hold the data of calls. */
  readonly withData: boolean;
  /** Whether a call is refused when its line cannot be written. */
  readonly isRequired: boolean;
  /** Why no line can be written now; undefined when lines can be written. */
  problem(): string | undefined;
  /** Resolves with whether the line was handed over. It never rejects. */
  write(record: AuditRecord): Promise<boolean>;
}

/** No trail. */
export const noSink: AuditSink = {
  isOn: false,
  withData: false,
  isRequired: false,
  problem: () => undefined,
  write: () => Promise.resolve(false),
};

/**
 * Records calls in the audit trail. An answer waits until its line has been handed over, if that is possible.
 */
export interface Audit {
  readonly isOn: boolean;
  /**
   * Runs a call of `services` that would write, and records its outcome.
   * @throws BrokerError of `run`. Where the trail is required and cannot be written: `unavailable` before
   * anything was done, `outcome_unknown` after it.
   */
  write(method: string, call: Call, run: () => Promise<Reply> | Reply): Promise<Reply>;
  /**
   * Runs a method of a module that is not built in, and records its beginning and its end. Throws as {@link
   * Audit.write} does.
   */
  execute(module: string, method: string, call: Call, run: () => Promise<Reply> | Reply): Promise<Reply>;
  /** Records a refused call. */
  refused(asked: AuditedCall, error: unknown): Promise<void>;
  /** Writes the counts of refusals; called before the trail ends. */
  flush(): Promise<void>;
}

/** The target of a call, as far as it is known. */
export interface AuditedCall {
  readonly source: string;
  readonly request: string;
  readonly module: string;
  readonly method: string;
  readonly key?: string | undefined;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
}

const SERVICES = 'services';

export function createAudit(sink: AuditSink): Audit {
  const refusals = createRefusals((record) => sink.write(record));
  let calls = 0;

  function writeOf(method: string, call: Call): AuditRecord {
    const { origin } = call;
    const isOwn = origin === undefined || origin.module === SERVICES;
    const via = isOwn ? {} : { via: boundedText(`${origin.module}.${origin.method}`) ?? '' };
    const data = sink.withData ? boundedData(call.params['data']) : {};
    return { ...recordOf('write', askedBy(SERVICES, method, call, origin)), ...via, ...data };
  }

  /** This runs before anything is done. */
  async function refuseWithout(record: AuditRecord): Promise<void> {
    const problem = sink.isRequired ? sink.problem() : undefined;
    if (problem === undefined) return;
    const error = unwritable('unavailable', `Nothing was done: ${problem}`);
    await refusals.record({ ...record, ...outcomeOf(error) });
    throw error;
  }

  async function writeChanges(begun: AuditRecord, changes: readonly EntryChange[]): Promise<boolean> {
    const record = { ...begun, time: timeNow() };
    if (changes.length === 0) return sink.write({ ...record, outcome: 'unchanged' });
    const written = await Promise.all(
      changes.map(({ name, revision, isChange }) =>
        sink.write({
          ...record,
          entry: name,
          ...(revision === undefined ? {} : { revision }),
          outcome: isChange || record.method === 'Renew' ? 'ok' : 'unchanged',
        }),
      ),
    );
    return written.every(Boolean);
  }

  return {
    get isOn() {
      return sink.isOn;
    },
    async write(method, call, run) {
      const record = writeOf(method, call);
      await refuseWithout(record);
      let reply: Reply;
      try {
        reply = await run();
      } catch (error) {
        const done = changesOf(error);
        if (done.length > 0) await writeChanges(record, done);
        const failed = { ...record, time: timeNow(), ...outcomeOf(error, call) };
        // A write that may have been done always has a line, however many refusals came before.
        await (failed.outcome === 'outcome_unknown' ? sink.write(failed) : refusals.record(failed));
        throw error;
      }
      const isWritten = await writeChanges(record, changesOf(reply));
      if (isWritten || !sink.isRequired) return reply;
      throw unwritable(
        'outcome_unknown',
        `The write was done, but its line could not be written: ${sink.problem() ?? ''}`,
      );
    },
    async execute(module, method, call, run) {
      const data = sink.withData ? boundedData(call.params) : {};
      const record = { ...recordOf('execution', askedBy(module, method, call, call.origin)), call: ++calls };
      await refuseWithout(record);
      const isBegun = await sink.write({ ...record, ...data, outcome: 'begun' });
      const ended = async (outcome: Pick<AuditRecord, 'outcome' | 'status'>): Promise<void> => {
        await sink.write({ ...record, time: timeNow(), ...outcome });
      };
      if (!isBegun && sink.isRequired) {
        const error = unwritable('unavailable', `Nothing was done: ${sink.problem() ?? ''}`);
        // The line of its beginning may be written after this.
        await ended(outcomeOf(error));
        throw error;
      }
      let reply: Reply;
      try {
        reply = await run();
      } catch (error) {
        await ended(outcomeOf(error, call));
        throw error;
      }
      // A module in your own process may return a value that is no answer: its caller gets 'internal' then.
      const { status, body } = reply ?? {};
      const ok = { outcome: 'ok', status: status ?? 200 };
      if (comesInParts(reply))
        return auditedReply(reply, (end) =>
          ended('error' in end ? outcomeOf(end.error, call) : { ...ok, outcome: end.outcome }),
        );
      if (status === undefined && body === undefined) await ended({ outcome: 'internal', status: 500 });
      else await ended(call.hasCallerGone ? { ...ok, outcome: 'gone' } : ok);
      return reply;
    },
    async refused(asked, error) {
      await refusals.record({ ...recordOf('refusal', asked), ...outcomeOf(error) });
    },
    flush: () => refusals.flush(),
  };
}

/** The time of a line. A call may wait before its end, so each line has a time of its own. */
function timeNow(): string {
  return new Date().toISOString();
}

function unwritable(code: 'unavailable' | 'outcome_unknown', problem: string): BrokerError {
  return new BrokerError(
    code,
    `The audit trail cannot be written, and '_audit.required' asks for a line of each write. ${problem}`,
  );
}

/** The outcome of a failed call. */
function outcomeOf(error: unknown, call?: Call): Pick<AuditRecord, 'outcome' | 'status'> {
  if (error instanceof BrokerError) return { outcome: error.code, status: error.status };
  if (call?.signal.aborted) return { outcome: 'gone' };
  return { outcome: 'internal', status: 500 };
}

function recordOf(event: AuditEvent, asked: AuditedCall): AuditRecord {
  const { source, request, module, method, key, params = {} } = asked;
  const [entry, prefix] =
    module === SERVICES ? [boundedText(params['name']), boundedText(params['prefix'])] : [];
  return {
    time: timeNow(),
    event,
    ...(source === '' ? {} : { source: boundedText(source) ?? '' }),
    ...(key === undefined ? {} : { key }),
    request,
    module: boundedText(module) ?? '',
    method: boundedText(method) ?? '',
    ...(entry === undefined ? {} : { entry }),
    ...(prefix === undefined ? {} : { prefix }),
  };
}

/** @param origin the call's origin; a parameter, since its name of the key costs a hash. */
function askedBy(module: string, method: string, call: Call, origin: CallOrigin | undefined): AuditedCall {
  const { clientAddress: source, requestId: request, params } = call;
  return { source, request, module, method, params, key: origin?.key };
}
