import { type Broker, openBroker } from '../../src/broker/broker.ts';
import type { Module } from '../../src/modules/module.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import type { Logger } from '../../src/protocol/logger.ts';
import { tempDir } from '../support/temp.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The JSON object of the body; empty if it is none. */
  readonly body: JsonObject;
  /** The body as it is. */
  readonly text: string;
}

/** A broker whose app is asked without a server. */
export interface Asked {
  readonly broker: Broker;
  /** The answer with its body unread, such as a stream. */
  open(path: string, init?: RequestInit, from?: string): Promise<Response>;
  /** `from` is the address it is to come from; default: one that nothing has come from yet. */
  send(path: string, init?: RequestInit, from?: string): Promise<Answer>;
  /** Sends JSON, unless the headers say otherwise. */
  post(
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
}

const nothing = (): void => undefined;

export async function openApp(options: {
  readonly config?: JsonObject;
  readonly modules?: Readonly<Record<string, Module>>;
  readonly log?: Logger;
  readonly extensionDir?: string;
}): Promise<Asked> {
  const broker = await openBroker({ file: `${tempDir()}/bpbroker.json`, ...options });
  let sources = 0;
  const freshAddress = (): string => `10.9.${sources >> 8}.${sources++ & 255}`;
  const open: Asked['open'] = async (path, init = {}, from = freshAddress()) => {
    const connection = {
      remoteAddress: from,
      awaitBody: nothing,
      keepOpen: nothing,
      answered: nothing,
      drop: nothing,
    };
    return broker.app.request(path, init, { connection });
  };
  const send: Asked['send'] = async (...request) => {
    const response = await open(...request);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text.startsWith('{') ? (JSON.parse(text) as JsonObject) : {},
      text,
    };
  };
  return {
    broker,
    open,
    send,
    post: (path, body, headers = {}) =>
      send(path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } }),
  };
}
