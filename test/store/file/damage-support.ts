/** Registries as a crash leaves them, for tests that damage their journals. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import { BrokerError } from '../../../src/protocol/errors.ts';
import { readJournal, withoutSpare } from '../../../src/store/file/journal/frames.ts';
import { tempDir } from '../../support/temp.ts';
import { memoryDir } from './memory-dir.ts';
import { contentOf, journalsIn, openIn, put, remove } from '../support.ts';

/** What may follow the frames of a journal: nothing, or spare room, of which a part does as well and takes less time. */
export const SPARES: readonly string[] = ['', '\0'.repeat(700)];

/** The files of a registry after a crash, and what it held before its last commit and after it. */
export interface Image {
  readonly files: Record<string, string>;
  /** The name of the journal, which is here without its spare room. */
  readonly journal: string;
  /** Where the last frame begins. */
  readonly lastFrame: number;
  readonly before: readonly Entry[];
  readonly after: readonly Entry[];
}

/** `writes` changes after the last rewrite; the very last one is alone in its commit. */
export async function crashedImage(writes: number, pad: number, lastBytes = 1): Promise<Image> {
  const dir = tempDir();
  const earlier = await openIn(dir);
  await earlier.mutate('kept', put({ pad: 'k' }, 60_000));
  await earlier.mutate('10', put('ten'));
  await earlier.close();
  const store = await openIn(dir);
  for (let i = 0; i < writes; i += 2) {
    const texts = { text: `ü"\\\n [{"${'x'.repeat(pad)}`, i };
    await Promise.all([
      store.mutate(`n${i % 7}`, put(texts)),
      store.mutate(`m${i % 3}`, i % 4 ? remove : put('y', 5e6)),
    ]);
  }
  const before = (await store.list()).entries;
  await store.mutate('last', put('z'.repeat(lastBytes)));
  const after = (await store.list()).entries;
  const files = contentOf(dir);
  await store.close();
  const journal =
    journalsIn(dir)
      .map((file) => path.basename(file))
      .findLast((name) => files[name]) ?? '';
  const onDisk = Buffer.from(files[journal] ?? '', 'latin1');
  const frames = withoutSpare(onDisk);
  assert.ok(frames.length < onDisk.length);
  const text = readJournal(frames);
  assert.ok(text && text.tail === undefined);
  files[journal] = frames.toString('latin1');
  return { files, journal, lastFrame: text.frames.at(-1)?.offset ?? 0, before, after };
}

export function scratch(): { dir: string; reset(files: Record<string, string>): void } {
  const dir = path.join(memoryDir(), 'registry');
  return {
    dir,
    reset(files) {
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir);
      for (const [name, content] of Object.entries(files))
        writeFileSync(path.join(dir, name), content, 'latin1');
    },
  };
}

export type Opened = { entries: readonly Entry[]; warnings: string[] } | { refusal: string };

/** Opens what stands in `dir`. A refusal must have touched nothing, and nothing but a refusal may be thrown. */
export async function tryOpen(dir: string): Promise<Opened> {
  const before = contentOf(dir);
  const warnings: string[] = [];
  try {
    const store = await openIn(dir, { log: (level, message) => level === 'warn' && warnings.push(message) });
    const { entries } = await store.list();
    await store.close();
    return { entries, warnings };
  } catch (error) {
    assert.ok(
      error instanceof BrokerError && error.code === 'invalid_config',
      String((error as Error).stack),
    );
    assert.deepEqual(contentOf(dir), before, 'a refusal touched something');
    return { refusal: error.message };
  }
}
