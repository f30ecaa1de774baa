/** A file in a zip archive. */
export interface ZipEntry {
  readonly name: string;
  readonly content: Buffer;
  /** As in the answer of `stat`. */
  readonly mode: number;
}

/**
 * A zip archive of the entries in their order (PKWARE's APPNOTE 6.3, sections 4.3 to 4.5): deflated, without
 * owners. Each has the time `time`: even Unix seconds from 1980 on, in UTC, as a zip has no zone. Up to 65535
 * entries and 4 GiB. `gzip` compresses, and its streams are reused: they have the same format, between a head
 * and a tail.
 */
export async function zip(
  entries: readonly ZipEntry[],
  time: number,
  gzip: (content: Buffer) => Promise<Buffer>,
): Promise<Buffer> {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, mode } of entries) {
    const { deflated, crc } = bare(await gzip(content));
    const nameBytes = Buffer.from(name);
    const common = [
      short(20),
      short(NAMES_IN_UTF_8),
      short(DEFLATED),
      dosTime(time),
      crc,
      long(deflated.length),
      long(content.length),
      short(nameBytes.length),
      short(0),
    ];
    const body = Buffer.concat([long(0x04034b50), ...common, nameBytes, deflated]);
    directory.push(
      long(0x02014b50),
      short(MADE_ON_UNIX),
      ...common,
      short(0),
      short(0),
      short(0),
      long(mode * 0x1_0000),
      long(offset),
      nameBytes,
    );
    bodies.push(body);
    offset += body.length;
  }
  const list = Buffer.concat(directory);
  const count = short(entries.length);
  const end = [long(0x06054b50), short(0), short(0), count, count, long(list.length), long(offset), short(0)];
  return Buffer.concat([...bodies, list, ...end]);
}

const NAMES_IN_UTF_8 = 0x0800;
const DEFLATED = 8;
/** Version 2.0 of the format, with the modes of Unix. */
const MADE_ON_UNIX = 0x0314;

/**
 * A gzip stream of one member, without a file name, has a head of 10 bytes, and ends in the CRC-32 and the
 * length.
 */
function bare(stream: Buffer): { deflated: Buffer; crc: Buffer } {
  if (stream.readUInt32BE(0) !== 0x1f8b0800) throw new Error('expected a gzip stream that names no file');
  return { deflated: stream.subarray(10, -8), crc: stream.subarray(-8, -4) };
}

/** Seconds in twos, minutes, hours; then day, month, years since 1980. */
function dosTime(time: number): Buffer {
  const date = new Date(time * 1000);
  const [hours, minutes, seconds] = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
  const [year, month, day] = [date.getUTCFullYear() - 1980, date.getUTCMonth() + 1, date.getUTCDate()];
  return Buffer.concat([
    short((hours << 11) | (minutes << 5) | (seconds >> 1)),
    short((year << 9) | (month << 5) | day),
  ]);
}

function short(number: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(number);
  return bytes;
}

function long(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}
