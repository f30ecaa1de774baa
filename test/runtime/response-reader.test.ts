import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ResponseReader } from '../../src/runtime/http/response-reader.ts';

/** One response as it was read: status, some headers, body, and what became of the connection. */
interface Seen {
  status: number;
  headers: Record<string, string>;
  body: string;
  end: 'reusable' | 'not reusable' | 'none';
}

/** Reads `text` in pieces that end at `cuts`, and then the end of the connection where `closed`. */
function read(
  text: string,
  { cuts = [], closed = false, method = 'POST' }: { cuts?: number[]; closed?: boolean; method?: string } = {},
): Seen {
  const seen: Seen = { status: 0, headers: {}, body: '', end: 'none' };
  const reader = new ResponseReader(method, {
    head(status, headers) {
      seen.status = status;
      seen.headers = Object.fromEntries(headers);
    },
    body: (bytes) => (seen.body += Buffer.from(bytes).toString('latin1')),
    end: (reusable) => (seen.end = reusable ? 'reusable' : 'not reusable'),
  });
  const ends = [...cuts, text.length];
  ends.forEach((end, i) => reader.read(Buffer.from(text.slice(i === 0 ? 0 : ends[i - 1], end), 'latin1')));
  if (closed) reader.close();
  return seen;
}

const sized = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello';
const chunked =
  'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n';

describe('ResponseReader', () => {
  it('reads a body with a length, and one in chunks, wherever the bytes are cut', () => {
    const wanted: [string, Partial<Seen>][] = [
      [sized, { status: 200, body: 'hello', end: 'reusable' }],
      [chunked, { status: 201, body: 'hello!', end: 'reusable' }],
    ];
    for (const [text, { status, body, end }] of wanted) {
      for (let a = 0; a <= text.length; a++) {
        for (const b of [a, a + 1, text.length]) {
          const seen = read(text, { cuts: [a, Math.min(b, text.length)] });
          assert.deepEqual([seen.status, seen.body, seen.end], [status, body, end], `cut at ${a} and ${b}`);
        }
      }
    }
  });

  it('returns headers by their names in lower case, and joins those of one name', () => {
    const { headers } = read(
      'HTTP/1.1 200\r\nETag:  "a" \r\nvary: b\r\nVary: c\r\nContent-Length: 0\r\n\r\n',
    );
    assert.deepEqual(headers, { etag: '"a"', vary: 'b, c', 'content-length': '0' });
  });

  it('takes all to the end of the connection without a length', () => {
    const seen = read('HTTP/1.1 200 OK\r\n\r\nuntil the end', { closed: true });
    assert.deepEqual([seen.body, seen.end], ['until the end', 'not reusable']);
  });

  it('expects no body where there is none', () => {
    for (const status of [204, 304]) {
      assert.equal(read(`HTTP/1.1 ${status} x\r\nContent-Length: 9\r\n\r\n`).end, 'reusable');
    }
    assert.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { method: 'HEAD' }).end, 'reusable');
    assert.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n').end, 'reusable');
  });

  it('passes over what comes before the answer itself', () => {
    assert.equal(read(`HTTP/1.1 100 Continue\r\n\r\n${sized}`).body, 'hello');
  });

  it('does not reuse a connection that the server closes, and one of HTTP/1.0', () => {
    assert.equal(
      read('HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n').end,
      'not reusable',
    );
    assert.equal(read('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n').end, 'not reusable');
  });

  it('refuses what could be read in two ways, or not at all', () => {
    const head = 'HTTP/1.1 200 OK\r\n';
    const malformed: Record<string, string> = {
      'no HTTP': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
      'HTTP/2 in text': 'HTTP/2.0 200 OK\r\n\r\n',
      'a status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
      'both lengths': `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
      'two lengths': `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`,
      'a length that is no number': `${head}Content-Length: 5a\r\n\r\n`,
      'a negative length': `${head}Content-Length: -5\r\n\r\n`,
      'another coding': `${head}Transfer-Encoding: gzip, chunked\r\n\r\n`,
      'chunks in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      'a space before the colon': `${head}Content-Length : 5\r\n\r\n`,
      'a folded header': `${head}A: b\r\n c\r\n\r\n`,
      'a header without a name': `${head}: b\r\n\r\n`,
      'a header of two lines': `${head}A: b\nContent-Length: 5\r\n\r\n`,
      'a header with a NUL': `${head}A: b\0c\r\n\r\n`,
      'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
      'a bare line': `${head}nothing\r\n\r\n`,
      'a chunk without a length': `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
      'a chunk with a sign': `${head}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello`,
      'a chunk beyond any size': `${head}Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n`,
      'a chunk that is longer than it says': `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX\r\n`,
      'more than it says': `${sized}, and more`,
      'a head without end': `${head}A: ${'b'.repeat(70_000)}`,
      'too long a head': `${head}A: ${'b'.repeat(70_000)}\r\n\r\n`,
    };
    for (const [what, text] of Object.entries(malformed)) {
      assert.throws(() => read(text), /no HTTP response: /, what);
    }
  });

  it('refuses a response that ends before it is complete', () => {
    for (const whole of [sized, chunked]) {
      for (let cut = 0; cut < whole.length; cut++) {
        assert.throws(
          () => read(whole.slice(0, cut), { closed: true }),
          /ends before it is complete/,
          `cut at ${cut}`,
        );
      }
    }
  });
});
