import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { root } from '../../build/root.ts';
import { consumer } from '../support/documents/consumer.ts';
import { bundle } from './workerd.ts';

const entry = `
import { createApp } from 'bpbroker/app';
import { memoryStore } from 'bpbroker/store';
export default createApp({ store: memoryStore() });
`;

/** How much larger than docs/runtimes.md says it may become before that page, and what made it so, is looked at. */
const ROOM = 1.2;

describe('the bundle of bpbroker/app with memoryStore(), for a Worker', () => {
  let text: string;
  before(async () => {
    const dir = consumer();
    writeFileSync(path.join(dir, 'entry.js'), entry);
    await bundle(dir, 'entry.js', 'bundle.js', ['--minify']);
    text = readFileSync(path.join(dir, 'bundle.js'), 'utf8');
  });

  it('is about as large as docs/runtimes.md says', (t) => {
    const page = readFileSync(path.join(root, 'docs/runtimes.md'), 'utf8');
    const [, raw, zipped] = /is (\d+) KiB, minified, and (\d+) KiB with gzip/.exec(page) ?? [];
    const sizes = [Buffer.byteLength(text), gzipSync(text).length].map((bytes) => bytes / 1024);
    t.diagnostic(`${sizes.map((size) => size.toFixed(1)).join(' KiB minified, ')} KiB with gzip`);
    for (const [n, size] of sizes.entries()) {
      const said = Number([raw, zipped][n]);
      assert.ok(size <= said * ROOM && size >= said / ROOM, `${size.toFixed(1)} KiB; the page says ${said}`);
    }
  });

  it('names no built-in module but node:crypto', () => {
    const named = text.matchAll(/\b(?:from|import|require)\s*\(?\s*["'`]([^"'`]+)["'`]/g);
    assert.deepEqual(new Set([...named].map(([, name]) => name)), new Set(['node:crypto']));
  });
});
