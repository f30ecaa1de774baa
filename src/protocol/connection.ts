/** The connection of a request, as a server describes it. */
export interface ConnectionInfo {
  /** The client's IP address; IPv4 in its plain form. */
  readonly remoteAddress: string;
  /** Whether an answer is sent only once it is whole, so event streams are impossible; default false. */
  readonly buffered?: boolean;
  /**
   * Announces a body that may take longer than the headers: the request's own time limit applies from now on.
   */
  awaitBody(): void;
  /** Lifts the idle limit for the answer to this request, such as a long poll or an event stream. */
  keepOpen(): void;
  /** Undoes `keepOpen`: the usual idle limit applies to the connection again. */
  answered(): void;
  /**
   * Closes the connection within seconds, although its client has not read everything, or the answer has not
   * ended.
   * @returns false where that is impossible: an app mounted in another server may not be able to.
   */
  drop(): boolean;
}

/** The default for how long an answer may remain unread before its connection is cut, in milliseconds. */
export const UNREAD_TIMEOUT_MS = 30_000;
