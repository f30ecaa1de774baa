/**
 * The chunks of an answer as they come. Only waits for a chunk count as silence, and not the time that the
 * reader takes for one.
 * @param ms how long a wait may take, in milliseconds.
 * @param onSilence is called when a wait takes longer. It must end the answer, as this function does not.
 */
export async function* heard(
  chunks: AsyncIterable<Uint8Array>,
  ms: number,
  onSilence: () => void,
): AsyncGenerator<Uint8Array> {
  let timer = setTimeout(onSilence, ms);
  try {
    for await (const chunk of chunks) {
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(onSilence, ms);
    }
  } finally {
    clearTimeout(timer);
  }
}
