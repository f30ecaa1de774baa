import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Block, exchangesOf } from './documents.ts';
import type { Terminal } from '../programs/terminal.ts';

/** The languages of blocks that somebody is to type. */
export const commandLanguages: ReadonlySet<string> = new Set([
  'bash',
  'console',
  'powershell',
  'sh',
  'shell',
]);

export interface Place {
  readonly terminal: Terminal;
  /** Where files are written that the page shows. */
  readonly dir: string;
}

/**
 * Types the blocks of a page in order. After the language of a block may come the place where it is typed
 * (`server2`). Then may come `waits`: the terminal is left to itself until its next block. Or the name of the
 * file that the block becomes. A block that is marked as run elsewhere, or not at all, is left out, and so is
 * what is no command and no file.
 */
export async function typePage(blocks: readonly Block[], placeOf: (name: string) => Place): Promise<void> {
  const busy = new Map<string, Promise<void>>();
  const settle = async (name: string): Promise<void> => {
    await busy.get(name);
    busy.delete(name);
  };
  try {
    for (const block of blocks) {
      if (block.mark !== '') continue;
      const words = block.title.split(' ').filter(Boolean);
      const name = words.find((word) => /^server\d$/.test(word)) ?? '';
      const file = words.find((word) => word.includes('.'));
      if (file) writeFileSync(path.join(placeOf(name).dir, file), block.text);
      if (file || !commandLanguages.has(block.language)) continue;
      await settle(name);
      const typing = typeBlock(block, placeOf(name).terminal);
      // One that waits may fail while another is typed: that is reported when it is its turn.
      typing.catch(() => {});
      busy.set(name, typing);
      if (!words.includes('waits')) await settle(name);
    }
  } finally {
    await Promise.allSettled(busy.values());
  }
  for (const name of busy.keys()) await settle(name);
}

async function typeBlock({ language, text, line }: Block, terminal: Terminal): Promise<void> {
  try {
    if (language !== 'console') await terminal.script(text);
    else for (const exchange of exchangesOf(text)) await terminal.enter(exchange);
  } catch (error) {
    assert.fail(`line ${line}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
