import { BrokerError, codeForStatus, messageOf } from '../protocol/errors.ts';
import { type FromHost, type Head, type Part, partBytes } from '../protocol/messages/extension-frames.ts';
import type { Reply } from '../modules/module.ts';
import { type Body, type BodyOptions, createBody } from './body.ts';

/** The frames of an answer. */
export type AnswerFrame = Extract<FromHost, { type: 'reply' | 'start' | 'part' | 'end' | 'fail' }>;

/** The answer of one call, assembled from the frames of its host. */
export interface IncomingReply {
  /** Settles when the answer begins. */
  readonly reply: Promise<Reply>;
  /** Resolves when nothing more will come, however the call ended. */
  readonly done: Promise<void>;
  take(frame: AnswerFrame): void;
  /** Ends the call with an error, unless it has ended. */
  fail(error: BrokerError): void;
}

/**
 * @param flow pauses the host while the reader of a long answer lags behind, and reports that the reader has
 * gone.
 */
export function createIncomingReply(flow: BodyOptions & { onFull(): void }): IncomingReply {
  let body: Body | undefined;
  let begin!: (reply: Reply) => void;
  let refuse!: (error: BrokerError) => void;
  let finish!: () => void;
  const reply = new Promise<Reply>((resolve, reject) => {
    begin = resolve;
    refuse = reject;
  });
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  // The caller gets this error, but may have gone.
  reply.catch(() => undefined);

  const fail = (error: BrokerError): void => {
    if (body) body.fail(error);
    else refuse(error);
    finish();
  };

  const takeFrame = (frame: AnswerFrame): void => {
    switch (frame.type) {
      case 'reply':
        begin({ ...checkedHead(frame), body: wholeBody(frame) });
        finish();
        return;
      case 'start': {
        const head = checkedHead(frame);
        body = createBody(flow);
        begin({ ...head, body: body.parts });
        return;
      }
      case 'part':
        if (body?.push(partBytes(frame)) === false) flow.onFull();
        return;
      case 'end':
        body?.end();
        finish();
        return;
      case 'fail':
        fail(failureOf(frame.message, frame.status));
    }
  };

  return {
    reply,
    done,
    fail,
    take(frame) {
      try {
        takeFrame(frame);
      } catch (error) {
        fail(error instanceof BrokerError ? error : failureOf(messageOf(error)));
      }
    },
  };
}

function wholeBody(part: Part): string | Uint8Array<ArrayBuffer> {
  return 'text' in part ? part.text : new Uint8Array(partBytes(part));
}

function failureOf(message: string, status = 500): BrokerError {
  return new BrokerError(status === 500 ? 'extension_failed' : codeForStatus(status), message, { status });
}

/** @throws BrokerError for a status or a content type that HTTP cannot carry. */
function checkedHead({ status, contentType }: Head): Head {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new BrokerError('extension_failed', `Invalid status ${status}: expected 200 to 599`);
  }
  if (!/^[ -~]+$/.test(contentType)) {
    const given = JSON.stringify(contentType);
    throw new BrokerError('extension_failed', `Invalid content type ${given}: expected printable ASCII`);
  }
  return { status, contentType };
}
