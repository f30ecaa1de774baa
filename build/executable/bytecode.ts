import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';

/** The output of `bun build --metafile`, as far as it is used here. */
export interface Metafile {
  readonly inputs: Readonly<Record<string, { readonly imports: readonly MetafileImport[] }>>;
  readonly outputs: Readonly<Record<string, { readonly inputs: Readonly<Record<string, unknown>> }>>;
}

interface MetafileImport {
  readonly path: string;
  readonly kind: string;
  /** The source file that an `import()` leads to. */
  readonly entryPoint?: string;
}

/** Files of other kinds are embedded unchanged. */
const isCode = /\.[cm]?[jt]s$/;

/** The names of chunks that `entry` can load only through an `import()` in `lazy`. */
export function chunksOfOthers({ inputs, outputs }: Metafile, entry: string, lazy: string): string[] {
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file) || !inputs[file]) return;
    reached.add(file);
    for (const { path, kind, entryPoint } of inputs[file].imports)
      if (kind !== 'dynamic-import' || file !== lazy) visit(entryPoint ?? path);
  };
  visit(entry);
  const isOthers = (file: string): boolean => isCode.test(file) && !reached.has(file);
  return Object.entries(outputs)
    .filter(([, chunk]) => Object.keys(chunk.inputs).length > 0)
    .filter(([, chunk]) => Object.keys(chunk.inputs).every(isOthers))
    .map(([name]) => name.replace(/^\.\//, ''));
}

/**
 * Overwrites the bytecode of chunks in an executable with zeros, which compress to nothing. Bun treats it as
 * a cache that does not fit, and reads the source beside it.
 * @returns the number of overwritten bytes.
 * @throws Error when a chunk is not where this Bun (1.4) keeps it; then nothing is overwritten.
 */
export function dropBytecode(file: string, chunks: readonly string[]): number {
  const opened = openSync(file, 'r+');
  try {
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      readSync(opened, bytes, 0, length, at);
      return bytes;
    };
    const ranges = bytecodeRanges(read, fstatSync(opened).size);
    const chosen = chunks.map((chunk) => ranges.get(chunk) ?? refuse(file, `no bytecode of ${chunk}`));
    for (const { at } of chosen)
      if (!read(at, 4).equals(CACHE)) refuse(file, 'other data in the place of bytecode');
    for (const { at, length } of chosen) writeSync(opened, Buffer.alloc(length), 0, length, at);
    return chosen.reduce((sum, { length }) => sum + length, 0);
  } finally {
    closeSync(opened);
  }
}

interface Range {
  readonly at: number;
  readonly length: number;
}

/** The marker after the executable's contents, and how many of its last bytes are searched for it. */
const TRAILER = Buffer.from('\n---- Bun! ----\n');
const TAIL = 65_536;
/** Before the marker: the length of the contents, the place and length of the list of files, and more. */
const HEAD = 32;
/**
 * An entry of the list: places and lengths of name, source, source map, bytecode and more, in numbers of four
 * bytes.
 */
const ENTRY = 52;
const BYTECODE = 6;
/** The first bytes of a cache of JavaScriptCore. */
const CACHE = Buffer.from('26edf0f1', 'hex');

/** Where the bytecode of each chunk is, by the chunk's name. */
function bytecodeRanges(read: (at: number, length: number) => Buffer, size: number): Map<string, Range> {
  const tail = read(Math.max(0, size - TAIL), Math.min(size, TAIL));
  const trailer = size - tail.length + tail.lastIndexOf(TRAILER);
  const ranges = new Map<string, Range>();
  if (!tail.includes(TRAILER) || trailer < HEAD) return ranges;
  const head = read(trailer - HEAD, HEAD);
  const start = trailer - HEAD - Number(head.readBigUInt64LE(0));
  const [listAt, listLength] = [head.readUInt32LE(8), head.readUInt32LE(12)];
  if (start < 0 || listLength % ENTRY !== 0 || start + listAt + listLength > size) return ranges;
  const list = read(start + listAt, listLength);
  for (let entry = 0; entry < listLength; entry += ENTRY) {
    const number = (index: number): number => list.readUInt32LE(entry + 4 * index);
    const [length, nameLength] = [number(BYTECODE + 1), Math.min(number(1), 4096)];
    const name = read(start + number(0), nameLength).toString();
    if (length > 0)
      ranges.set(name.slice(name.lastIndexOf('/') + 1), { at: start + number(BYTECODE), length });
  }
  return ranges;
}

function refuse(file: string, what: string): never {
  throw new Error(
    `${file} has ${what}; does this Bun use another layout of executables? See build/executable/bytecode.ts`,
  );
}
