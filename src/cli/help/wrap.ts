/** Breaks a text at its spaces into lines of at most `width` characters. A longer word has a line of its own. */
export function wrap(text: string, width: number): string[] {
  return wrapPieces(text.split(' ').filter(Boolean), width, 0).map((line) => line.replaceAll('\u00a0', ' '));
}

/**
 * Joins pieces with spaces into lines of at most `width` characters; no piece is broken.
 * @param reserved characters that every line but the last leaves free at its end.
 */
export function wrapPieces(pieces: readonly string[], width: number, reserved: number): string[] {
  const lines: string[] = [];
  for (const [n, piece] of pieces.entries()) {
    const line = lines.at(-1);
    const room = width - (n === pieces.length - 1 ? 0 : reserved);
    if (line !== undefined && line.length + 1 + piece.length <= room)
      lines[lines.length - 1] = `${line} ${piece}`;
    else lines.push(piece);
  }
  return lines;
}

/** The words of a POSIX shell's command line, as they are written, with their quotes. */
export function shellWords(line: string): string[] {
  return line.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
}
