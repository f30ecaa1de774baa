import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, replaceFile, syncDirectory } from '../../../config/atomic-write.ts';
import { isObject } from '../../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { isRevision } from './records.ts';

/**
 * `FILE.current` says which journal must exist. Without it, a missing journal would not be noticed: the file
 * alone looks like a registry without later writes.
 */
export interface CurrentJournal {
  readonly registry: string;
  /**
   * The base of the journal for acknowledged writes; undefined after a clean stop, when the file holds
   * everything.
   */
  readonly base: number | undefined;
  /** After a clean stop: the revision of the file, which holds everything. */
  readonly cleanAt: number | undefined;
}

const FORMAT = 'bpbroker current journal 1';

export function currentPath(file: string): string {
  return `${file}.current`;
}

/** Records durably that the journal of `base` must exist from now on. */
export function writeCurrent(
  file: string,
  registry: string,
  base: number,
  onStep: (step: string) => void,
): Promise<void> {
  return write(file, { registry, base }, onStep);
}

/** Records durably that the file of `revision` holds everything, so that no journal need exist. */
export function writeClean(
  file: string,
  registry: string,
  revision: number,
  onStep: (step: string) => void,
): Promise<void> {
  return write(file, { registry, clean: revision }, onStep);
}

/** Removes the record durably: no journal need exist from now on. It needs no room on the disk. */
export async function removeCurrent(file: string): Promise<void> {
  await rm(currentPath(file), { force: true });
  await syncDirectory(path.dirname(file));
}

/**
 * The last record; undefined without one.
 * @throws BrokerError `invalid_config` where it cannot be read.
 */
export async function readCurrent(file: string): Promise<CurrentJournal | undefined> {
  const at = currentPath(file);
  let value: unknown;
  try {
    const text = await ifPresent(readFile(at, 'utf8'));
    if (text === undefined) return undefined;
    value = JSON.parse(text);
  } catch (error) {
    throw refusal(at, messageOf(error), error);
  }
  if (!isObject(value) || value['format'] !== FORMAT) throw refusal(at, `it is not a '${FORMAT}'`);
  const { registry, base, clean } = value;
  if (typeof registry === 'string' && isRevision(base)) return { registry, base, cleanAt: undefined };
  if (typeof registry === 'string' && isRevision(clean)) return { registry, base: undefined, cleanAt: clean };
  throw refusal(at, 'it names no registry and journal');
}

async function write(
  file: string,
  content: { readonly registry: string; readonly base?: number; readonly clean?: number },
  onStep: (step: string) => void,
): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, ...content })}\n`;
  await replaceFile(currentPath(file), [text], {
    mode: 0o600,
    onStep: (step) => onStep(`current-${step}`),
  });
}

function refusal(at: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError(
    'invalid_config',
    `Cannot use ${at}, which names the journal that must exist: ${why}; nothing was touched. ` +
      'Remove it only if you know that no journal is missing',
    cause === undefined ? {} : { cause },
  );
}
