import { BrokerError } from '../../protocol/errors.ts';

/** An open event stream, as far as a change of keys is about it. */
export interface OpenStream {
  /** Whether its caller could open it now. */
  isAllowed(): boolean;
  /** Ends it. */
  end(): void;
}

/** Counts open event streams: each holds a socket and a watch for as long as its reader wants. */
export interface StreamLimit {
  /**
   * Takes a place for a stream of `holder`. An unknown holder counts only overall. The returned function
   * releases the place, and may be called again.
   * @param stream is ended by {@link StreamLimit.review}; default: never.
   * @throws BrokerError `too_many_requests` when there is no place.
   */
  open(holder: string | undefined, stream?: OpenStream): () => void;
  /** Ends the streams that their callers could open no longer; called after a change of keys or modules. */
  review(): void;
  /** The number of open streams. */
  readonly streams: number;
}

export interface StreamLimitOptions {
  readonly perHolder: number;
  readonly overall: number;
}

/** The seconds after which a refused reader may try again. */
const RETRY_AFTER = 10;

export function createStreamLimit({ perHolder, overall }: StreamLimitOptions): StreamLimit {
  const byHolder = new Map<string, number>();
  const reviewed = new Set<OpenStream>();
  let streams = 0;
  return {
    open(holder, stream) {
      const held = holder === undefined ? 0 : (byHolder.get(holder) ?? 0);
      if (held >= perHolder) throw full(`this key (or address, without one) has ${held} open`, perHolder);
      if (streams >= overall) throw full(`${streams} are open`, overall);
      if (holder !== undefined) byHolder.set(holder, held + 1);
      streams += 1;
      if (stream) reviewed.add(stream);
      let open = true;
      return () => {
        if (!open) return;
        open = false;
        streams -= 1;
        if (stream) reviewed.delete(stream);
        if (holder === undefined) return;
        const left = (byHolder.get(holder) ?? 1) - 1;
        if (left === 0) byHolder.delete(holder);
        else byHolder.set(holder, left);
      };
    },
    review() {
      for (const stream of reviewed) if (!stream.isAllowed()) stream.end();
    },
    get streams() {
      return streams;
    },
  };
}

function full(state: string, limit: number): BrokerError {
  return new BrokerError(
    'too_many_requests',
    `Too many event streams: ${state}, and there may be ${limit}; close one, or try again in ${RETRY_AFTER} s`,
    { retryAfter: RETRY_AFTER },
  );
}
