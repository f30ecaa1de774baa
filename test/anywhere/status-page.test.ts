import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { chromium } from 'playwright-core';
import { root, tool } from '../../build/root.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { atEnd } from '../support/cleanup.ts';
import { lacking } from '../support/programs/tools.ts';
import { projectOf, startServer } from './server-process.ts';
import { KEY } from './target.ts';

const commands = {
  'Bun.serve': [tool('bun'), 'page-server.mjs'],
  'Deno.serve': [tool('deno'), 'run', '--allow-net', '--allow-env', '--allow-read', 'page-server.mjs'],
};

describe('the status page of an app that another app has mounted', { skip: lacking('chromium') }, () => {
  for (const [name, command] of Object.entries(commands)) {
    it(`shows, makes and deletes entries with the key, on ${name}`, async () => {
      const dir = projectOf('test/anywhere/servers');
      copyFileSync(path.join(root, 'test/anywhere/page-server.mjs'), path.join(dir, 'page-server.mjs'));
      const { cert, key } = await makeCertificate();
      writeFileSync(path.join(dir, 'cert.pem'), cert);
      writeFileSync(path.join(dir, 'key.pem'), key);
      const { origin } = await startServer(dir, command);
      const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
      atEnd(() => browser.close());
      const page = await browser.newPage({ ignoreHTTPSErrors: true });
      // Without the slash at its end, which is where Hono has it.
      await page.goto(`${origin}/internal/registry`);
      const links = page.locator('footer a');
      assert.deepEqual(
        await links.evaluateAll((all) => all.map((link) => (link as unknown as { href: string }).href)),
        ['readyz', 'metrics', 'openapi.json'].map((file) => `${origin}/internal/registry/${file}`),
      );
      await page.locator('#key').fill(KEY);
      await page.locator('#key').press('Enter');
      await page.locator('#feed[data-kind="live"]').waitFor();
      await page.locator('#register').click();
      await page.locator('#form-name').fill('node/one');
      await page.locator('#form-data').fill('{"port": 1}');
      await page.getByRole('button', { name: 'Register', exact: true }).click();
      await page.locator('.row[data-path="node/one"]').getByText('{"port":1}').waitFor();
      await page.getByRole('button', { name: 'Delete' }).click();
      await page.locator('.row[data-path="node/one"]').waitFor({ state: 'detached' });
      await browser.close();
    });
  }
});
