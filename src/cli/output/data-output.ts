import { escapeControls } from '../../protocol/errors.ts';
import { isTerminal, writeOut, writeResult } from '../terminal/terminal.ts';

/**
 * Output of data, which others may have written. On a terminal its control characters are shown and never
 * sent, because a terminal obeys them (a title, a colour, an answer typed for the user). A pipe or a file
 * gets the bytes.
 */

/** Writes a result, or one of several. */
export async function writeData(text: string): Promise<void> {
  await writeResult(await forTerminal(text));
}

/** Writes output that arrives in pieces; a piece may end within a character. */
export interface DataStream {
  write(bytes: Uint8Array): Promise<void>;
}

export function openDataStream(): DataStream {
  // Plain ASCII does not need to know whether this is a terminal.
  let decoder: TextDecoder | undefined;
  let isPlain = true;
  return {
    async write(bytes) {
      if (isPlain && bytes.some((byte) => !isHarmless(byte))) {
        isPlain = false;
        // Bytes that are not UTF-8 could be control characters of eight bits.
        if (await isTerminal(1)) decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      }
      writeOut(decoder ? shown(decoder.decode(bytes, { stream: true })) : bytes);
    },
  };
}

async function forTerminal(text: string): Promise<string> {
  const safe = shown(text);
  return safe !== text && (await isTerminal(1)) ? safe : text;
}

/** Newlines and tabs stay as they are; a carriage return alone would overwrite its line. */
function shown(text: string): string {
  return text.replaceAll(/[^\n\t]+/g, escapeControls);
}

function isHarmless(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x09;
}
