import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolveFile } from '../../../config/atomic-write.ts';
import type { JsonObject } from '../../../protocol/formats/data.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import { optionsOf, readStored, type RegistryIdentity } from './document.ts';
import { listJournals } from '../journal/journal-files.ts';
import { recover } from '../recovery.ts';
import { createEntryIndex, type EntryIndex } from '../../memory/entry-index.ts';

/** The registry that a broker would find if it started now. */
export interface RegistrySnapshot {
  readonly identity: RegistryIdentity;
  readonly options: JsonObject;
  readonly index: EntryIndex;
}

const ATTEMPTS = 10;
const PAUSE_MS = 20;

/**
 * Reads file and journals as recovery does, without changing them, for use beside a broker that runs on them.
 * The journals must continue the file's revision without a gap, and an incomplete frame does not count. So
 * the result is the state of one moment. If a broker was replacing files meanwhile, they are read again.
 *
 * @throws BrokerError `not_found` where the file does not exist, `invalid_config` when its content is
 * damaged.
 */
export async function readSnapshot(given: string): Promise<RegistrySnapshot> {
  const file = await resolveFile(given);
  for (let attempt = 1; ; attempt++) {
    const before = await stateOfFiles(file);
    try {
      return await readOnce(file);
    } catch (error) {
      // Real damage is still there after the disk has been quiet.
      if (attempt === ATTEMPTS || before === (await stateOfFiles(file))) throw error;
    }
    await sleep(PAUSE_MS * attempt);
  }
}

async function readOnce(file: string): Promise<RegistrySnapshot> {
  const content = await readStored(file);
  if (content === undefined) {
    // Journals without a file are reported first.
    await recover({ file, document: content, index: createEntryIndex() });
    throw new BrokerError('not_found', `There is no registry: no file ${file}`);
  }
  const index = createEntryIndex();
  // The file was read first: journals are removed only after a later file has replaced it.
  const { identity } = await recover({ file, document: content, index });
  return { identity, options: optionsOf(content), index };
}

/** Changes once the file or a journal has been written, replaced, added or removed. */
async function stateOfFiles(file: string): Promise<string> {
  const paths = [file, ...(await listJournals(file)).map(({ path }) => path)];
  const states = paths.map(async (at) => {
    try {
      const { dev, ino, size, mtimeNs } = await stat(at, { bigint: true });
      return `${at} ${dev} ${ino} ${size} ${mtimeNs}`;
    } catch (error) {
      return `${at} ${(error as NodeJS.ErrnoException).code}`;
    }
  });
  return (await Promise.all(states)).join('\n');
}
