/** One event of a stream (WHATWG HTML, section 9.2). */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
}

/** The events of a body of Server-Sent Events, as they come. Ends with the body. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const event = eventOf(rest.slice(0, end));
        rest = rest.slice(end + 2);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel();
  }
}

/** Undefined for a block with only comments, such as a heartbeat. */
function eventOf(block: string): StreamEvent | undefined {
  let type = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const [field = '', ...value] = line.split(': ');
    if (field === 'event') type = value.join(': ');
    if (field === 'data') data.push(value.join(': '));
  }
  return data.length === 0 ? undefined : { type, data: data.join('\n') };
}
