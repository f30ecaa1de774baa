import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import { atEnd } from '../../support/cleanup.ts';
import { startEtcd } from '../../support/registry/etcd.ts';
import { writeExtensions } from '../../support/registry/extensions.ts';
import { startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { isTooWide, picture, violations } from './page-support.ts';
import { freePort, reference, skipOf } from '../support.ts';

const screens = [
  { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  { colorScheme: 'dark', viewport: { width: 375, height: 700 } },
] as const;

describe(
  'what the status page shows besides entries',
  { skip: lacking('chromium') || skipOf(reference) },
  () => {
    let browser: Browser;
    before(async () => {
      browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
      atEnd(() => browser.close());
    });
    after(() => browser.close());

    async function open(address: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
      const page = await browser.newPage({ ignoreHTTPSErrors: true, ...options });
      page.setDefaultTimeout(20_000);
      await page.goto(`https://${address}/`);
      return page;
    }

    it('is the last calls of extensions, for callers who may call them', async () => {
      const dir = tempDir();
      writeExtensions(dir, {
        'hello.sh': '#!/bin/sh\n[ "$1" = Fail ] && { echo no >&2; exit 1; }\necho hi\n',
        'ossec.sh': '#!/bin/sh\necho added\n',
      });
      const long = 'AMethodWithANameOfThirtyNineCharactersX';
      const config = { hello: {}, idle: {}, ossec: { _access_key: 'ossec' } };
      const broker = await startBroker(reference, { dir, config: { api: { listen_port: 0 }, ...config } });
      const call = async (method: string, ...args: string[]): Promise<void> =>
        void (await broker.client(['execute', '--method', method, ...args]));
      await call(`hello.${long}`);
      await call('hello.Greet');
      await call('hello.Fail');
      await call('ossec.AddAgent', '--access-key', 'ossec');
      const isCutOff =
        "[...document.querySelectorAll('.scroller')].some((at) => at.scrollWidth > at.clientWidth)";
      for (const screen of screens) {
        const page = await open(`127.0.0.1:${broker.port}`, screen);
        const rows = page.locator('#modules tbody tr');
        await rows.filter({ hasText: 'Greet' }).getByText('ok', { exact: true }).waitFor();
        await rows.filter({ hasText: 'Fail' }).getByText('extension failed').waitFor();
        await rows.filter({ hasText: long }).waitFor();
        assert.equal(await page.evaluate(isCutOff), false, 'a column is out of sight');
        assert.match(await rows.first().innerText(), /Fail\s+127\.0\.0\.1/);
        await page.locator('.module', { hasText: 'idle' }).getByText('not called yet').waitFor();
        assert.equal(await page.getByText('AddAgent').count(), 0, 'it asks for a key');
        await page.getByText('One asks for a key of its own.').waitFor();
        const key = page.getByLabel('Access key of an extension');
        await key.fill('wrong');
        await key.press('Enter');
        await page.locator('#extensions-note', { hasText: 'Incorrect access key' }).waitFor();
        await key.fill('ossec');
        await key.press('Enter');
        await rows.filter({ hasText: 'AddAgent' }).waitFor();
        assert.equal(await page.locator('#extensions-form').isHidden(), true);
        assert.deepEqual(await violations(page), []);
        assert.equal(await isTooWide(page), false, 'the page is wider than the screen');
        await picture(page, `extensions-${screen.colorScheme}`);
        await page.close();
      }
      // A wrong key is presented once, however long the page is open.
      assert.equal(broker.stderr().match(/wrong access key/g)?.length, screens.length);
      await broker.kill();
    });

    it('is the brokers of a cluster, as they come, stop and die', { skip: lacking('etcd') }, async () => {
      const cluster = await startEtcd();
      const port = await freePort();
      const start = (n: number): ReturnType<typeof startBroker> => {
        const config = {
          api: { listen_ip: `127.0.0.${n}`, listen_port: port },
          services: { _access_key: 'registry' },
          _store: { driver: 'etcd', endpoints: cluster.endpoints },
        };
        return startBroker(reference, { config });
      };
      const [first, second, third] = await Promise.all([start(2), start(3), start(4)]);
      const page = await open(`127.0.0.2:${port}`);
      await page.locator('#key').fill('registry');
      assert.equal(await page.locator('#cluster').isHidden(), true, 'it asks for a key');
      await page.locator('#key').press('Enter');
      const items = page.locator('#brokers li');
      for (const n of [2, 3, 4]) await items.filter({ hasText: `https://127.0.0.${n}:${port}` }).waitFor();
      assert.equal(await items.count(), 3);
      assert.match(await items.filter({ hasText: '127.0.0.2' }).innerText(), /this one[^]*version 1\./);
      const plot = (title: string): ReturnType<Page['locator']> => page.locator('.plot', { hasText: title });
      await plot('Writes').waitFor();
      assert.equal(await plot('Time of a commit').count(), 0, 'there is no journal');
      assert.doesNotMatch(
        await page.evaluate<string>("fetch('metrics').then((answer) => answer.text())"),
        /bpbroker_journal/,
      );
      assert.deepEqual(await violations(page), []);
      await picture(page, 'cluster');
      await second.stop();
      await items.filter({ hasText: '127.0.0.3' }).waitFor({ state: 'detached' });
      await third.kill();
      await items.filter({ hasText: '127.0.0.4' }).waitFor({ state: 'detached', timeout: 60_000 });
      assert.equal(await items.count(), 1);
      for (const member of cluster.members.slice(0, 2)) await member.kill();
      await page.locator('#cluster-note', { hasText: 'As last known' }).waitFor({ timeout: 60_000 });
      assert.equal(await items.count(), 1);
      await page.close();
      await first.kill();
    });
  },
);
