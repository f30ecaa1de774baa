/** Called with the parts of one response as they are read. */
export interface ResponseParts {
  /** Its status and its headers: names in lower case, values of one name joined by `, `. */
  head(status: number, headers: ReadonlyMap<string, string>): void;
  body(bytes: Uint8Array): void;
  /** It is complete. `reusable`: the connection may carry another request. */
  end(reusable: boolean): void;
}

/** The longest head, or line between chunks, in bytes: Bun and Node allow less. */
const MAX_LINES = 64 * 1024;

type Step = 'head' | 'sized' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers' | 'rest' | 'done';

/**
 * Reads one response (RFC 9112) from the bytes of a connection. It refuses everything that could be read in
 * two ways: a reader that guesses may take the end of one answer for another's beginning.
 */
export class ResponseReader {
  readonly #parts: ResponseParts;
  readonly #hasBody: boolean;
  #step: Step = 'head';
  #pending: Buffer | undefined;
  /** The remaining bytes of the body, or of its chunk. */
  #left = 0;
  #reusable = true;

  constructor(method: string, parts: ResponseParts) {
    this.#parts = parts;
    this.#hasBody = method !== 'HEAD';
  }

  /** @throws Error that says what is wrong with the response. */
  read(bytes: Buffer): void {
    let rest = this.#pending ? Buffer.concat([this.#pending, bytes]) : bytes;
    this.#pending = undefined;
    while (rest.length > 0) {
      const taken = this.#take(rest);
      if (taken === 0) {
        if (rest.length > MAX_LINES) throw malformed('too long a head');
        this.#pending = rest;
        return;
      }
      rest = rest.subarray(taken);
    }
  }

  /**
   * Notes that no more data follows.
   * @throws Error when the response is not complete.
   */
  close(): void {
    if (this.#step === 'rest') this.#end(false);
    else if (this.#step !== 'done') throw malformed('it ends before it is complete');
  }

  /** Takes bytes off the front and returns their number; 0 while a line is incomplete. */
  #take(bytes: Buffer): number {
    switch (this.#step) {
      case 'head':
        return this.#takeLines(bytes, '\r\n\r\n', (text) => this.#readHead(text.split('\r\n')));
      case 'sized':
      case 'chunk':
        return this.#takeBody(bytes);
      case 'chunk-size':
        return this.#takeLines(bytes, '\r\n', (line) => this.#readChunkSize(line));
      case 'chunk-end':
        return this.#takeLines(bytes, '\r\n', (line) => {
          if (line !== '') throw malformed('a chunk is longer than it says');
          this.#step = 'chunk-size';
        });
      case 'trailers':
        return this.#takeLines(bytes, '\r\n', (line) => {
          if (line === '') this.#end(this.#reusable);
        });
      case 'rest':
        this.#parts.body(bytes);
        return bytes.length;
      case 'done':
        break;
    }
    throw malformed('it is longer than it says');
  }

  #takeLines(bytes: Buffer, mark: string, read: (text: string) => void): number {
    const at = bytes.indexOf(mark, 0, 'latin1');
    if (at === -1) return 0;
    if (at > MAX_LINES) throw malformed('too long a head');
    read(bytes.toString('latin1', 0, at));
    return at + mark.length;
  }

  #takeBody(bytes: Buffer): number {
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    this.#parts.body(part);
    if (this.#left === 0) {
      if (this.#step === 'sized') this.#end(this.#reusable);
      else this.#step = 'chunk-end';
    }
    return part.length;
  }

  #readHead([first = '', ...lines]: readonly string[]): void {
    const [, version, digits] = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/.exec(first) ?? [];
    if (digits === undefined) throw malformed(`its first line is ${JSON.stringify(first.slice(0, 80))}`);
    const status = Number(digits);
    if (status === 101) throw malformed('it switches to a protocol that was not requested');
    // A response before the final one, such as 100 Continue.
    if (status < 200) return;
    const headers = readHeaders(lines);
    this.#reusable = version === '1' && !/(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get('connection') ?? '');
    const coding = headers.get('transfer-encoding');
    const size = headers.get('content-length');
    if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || size !== undefined || version === '0'))
      throw malformed('its length is given in two ways, or in none that is known');
    if (size !== undefined && !/^\d{1,15}$/.test(size))
      throw malformed(`its length is '${size.slice(0, 80)}'`);
    this.#parts.head(status, headers);
    this.#left = Number(size ?? 0);
    if (!this.#hasBody || status === 204 || status === 304) this.#end(this.#reusable);
    else if (coding !== undefined) this.#step = 'chunk-size';
    else if (size === undefined) this.#step = 'rest';
    else if (this.#left === 0) this.#end(this.#reusable);
    else this.#step = 'sized';
  }

  #readChunkSize(line: string): void {
    const [, digits] = /^([0-9a-fA-F]{1,8})\s*(?:;|$)/.exec(line) ?? [];
    if (digits === undefined) throw malformed(`a chunk's length is '${line.slice(0, 80)}'`);
    this.#left = Number.parseInt(digits, 16);
    this.#step = this.#left === 0 ? 'trailers' : 'chunk';
  }

  #end(reusable: boolean): void {
    this.#step = 'done';
    this.#parts.end(reusable);
  }
}

function readHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon < 1 || /[\s\0]/.test(name)) throw malformed(`a header is ${JSON.stringify(line.slice(0, 80))}`);
    const value = line.slice(colon + 1).trim();
    if (/[\0\r\n]/.test(value)) throw malformed(`header '${name}' is not one line`);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

function malformed(what: string): Error {
  return new Error(`the answer is no HTTP response: ${what}`);
}
