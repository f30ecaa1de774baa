/** The connection that a request came in on, as a server tells of it. */
export interface ConnectionInfo {
  /** The client's IP address, IPv4 in its plain form. */
  readonly remoteAddress: string;
  /** Whether an answer is sent only once it is whole, so that there can be no event stream; default false. */
  readonly buffered?: boolean;
  /** Says that a body is coming which takes longer than the headers may: the request's own time limit applies then. */
  awaitBody(): void;
  /** Lets the answer to this request take its time (a long poll, an event stream): no idle limit applies to it. */
  keepOpen(): void;
  /** Takes `keepOpen` back: the usual idle limit applies to the connection again. */
  answered(): void;
  /**
   * Closes the connection within seconds, although its client does not read what was sent, or its answer is not at its end.
   * Gives whether it can: an app that is mounted in another server may not.
   */
  drop(): boolean;
}

/** Longest that an answer may lie unread before its connection is cut, in milliseconds, where nobody says otherwise. */
export const UNREAD_TIMEOUT_MS = 30_000;
