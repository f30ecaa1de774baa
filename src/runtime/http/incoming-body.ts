import { boundedText } from './bounded-text.ts';

/** The most bytes that wait to be read; beyond that, the sender has to wait. */
const MAX_UNREAD = 1024 * 1024;

/** The functions of the connection that an {@link IncomingBody} uses. */
interface Source {
  pause(): void;
  resume(): void;
  /** The reader has gone, so the rest is not needed. */
  abandon(): void;
}

/** The body of an answer on its way from its connection to its reader. */
export class IncomingBody {
  readonly #source: Source;
  readonly #waiting: Uint8Array[] = [];
  #unread = 0;
  #paused = false;
  #outcome: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(source: Source) {
    this.#source = source;
  }

  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#unread += bytes.length;
    if (this.#unread > MAX_UNREAD && !this.#paused) {
      this.#paused = true;
      this.#source.pause();
    }
    this.#wake?.();
  }

  end(): void {
    this.#outcome ??= {};
    // The connection may carry another answer now, even before this one has been read.
    this.#resume();
    this.#wake?.();
  }

  /** The reader still gets the data that has arrived, then the error. */
  fail(error: unknown): void {
    this.#outcome ??= { error };
    this.#wake?.();
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const bytes = this.#shift();
        if (bytes) yield bytes;
        else if (this.#outcome) break;
        else await this.#more();
      }
      if (this.#outcome && 'error' in this.#outcome) throw this.#outcome.error;
    } finally {
      if (!this.#outcome) this.#source.abandon();
    }
  }

  text(): Promise<string> {
    return boundedText(this.stream());
  }

  #shift(): Uint8Array | undefined {
    const bytes = this.#waiting.shift();
    this.#unread -= bytes?.length ?? 0;
    if (this.#unread <= MAX_UNREAD / 2) this.#resume();
    return bytes;
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#source.resume();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
