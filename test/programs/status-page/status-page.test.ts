import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { atEnd } from '../../support/cleanup.ts';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { isTooWide, violations } from './page-support.ts';
import { skipOf } from '../support.ts';

/** Text of the focused element, or its label. */
function focused(page: Page): Promise<string> {
  return page.evaluate(
    "document.activeElement?.id || document.activeElement?.getAttribute('data-path') || document.activeElement?.textContent",
  );
}

/** Presses Tab until the focus is where it should be. */
async function tabTo(page: Page, wanted: string): Promise<void> {
  const seen: string[] = [];
  // More than once around: what is wanted may appear with an answer that is still to come.
  const until = performance.now() + 15_000;
  while (performance.now() < until) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (now === wanted) return;
    seen.push(now);
  }
  assert.fail(`Tab does not lead to '${wanted}', but to ${seen.slice(-60).join(', ')}`);
}

const lacks = lacking('chromium');
const tried = launchers.filter(({ name }) => ['executable', 'node20'].includes(name));

for (const launcher of tried) {
  describe(`the status page of a broker on ${launcher.name}`, { skip: lacks || skipOf(launcher) }, () => {
    let browser: Browser;
    let broker: RunningBroker;
    const requested = new Set<string>();
    const complaints: string[] = [];

    async function open(
      options: Parameters<Browser['newPage']>[0] = {},
      port: number = broker.port,
    ): Promise<Page> {
      const page = await browser.newPage({ ignoreHTTPSErrors: true, ...options });
      page.on('request', (request) => requested.add(new URL(request.url()).origin));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
      });
      page.setDefaultTimeout(20_000);
      await page.goto(`https://127.0.0.1:${port}/`);
      return page;
    }
    const row = (page: Page, name: string) => page.locator(`.row[data-path="${name}"]`);
    const live = (page: Page): Promise<void> => page.locator('#feed[data-kind="live"]').waitFor();
    const service = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await broker.client(['service', ...args]);
      assert.equal(code, 0, stderr);
    };

    before(async () => {
      broker = await startBroker(launcher, { config: { services: {}, ping: {} } });
      browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
      atEnd(() => browser.close());
    });
    after(async () => {
      await browser.close();
      await broker.kill();
    });

    it('shows an entry as it is registered, changed and deleted on the command line', async () => {
      const page = await open();
      await live(page);
      await service('register', '--name', 'node/web1', '--data', '{"port": 8080}');
      await row(page, 'node/web1').getByText('{"port":8080}').waitFor();
      await service('update', '--name', 'node/web1', '--data', '{"role": "web"}');
      await row(page, 'node/web1').getByText('{"port":8080,"role":"web"}').waitFor();
      await page.locator('#changes').getByText('node/web1').first().waitFor();
      for (const title of [
        'Registrations',
        'Writes',
        'Gets',
        'Discovery answers',
        'Waiting clients',
        'Time of a commit',
      ])
        await page
          .locator('.plot', { hasText: title })
          .locator('.line[d^="M"]')
          .waitFor({ state: 'attached' });
      await service('register', '--name', 'node/web2', '--ttl', '60s', '--data', 'text');
      await row(page, 'node/web2')
        .getByText(/^\d+ s left$/)
        .waitFor();
      await service('delete', '--name', 'node/web2');
      await row(page, 'node/web2').waitFor({ state: 'detached' });
      await page.close();
    });

    it('goes on after a restart of its broker', async () => {
      const page = await open();
      await live(page);
      const { dir, port } = broker;
      await broker.stop();
      await page.locator('#state[data-kind="bad"]').waitFor();
      broker = await startBroker(launcher, { dir, args: ['--listen-port', String(port)] });
      await page.locator('#state[data-kind="good"]').waitFor();
      await live(page);
      await service('register', '--name', 'after', '--data', 'the restart');
      await row(page, 'after').getByText('the restart').waitFor();
      await page.close();
    });

    it('has nothing amiss for axe-core, in light and dark, wide and narrow, with each of its forms', async () => {
      await service('register', '--name', 'seen/by/axe', '--data', '{"a": 1}');
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const viewport of [
          { width: 1280, height: 900 },
          { width: 375, height: 700 },
        ]) {
          const page = await open({ colorScheme, viewport });
          await live(page);
          await row(page, 'seen/by/axe').click();
          await page.locator('#panel pre').waitFor();
          assert.deepEqual(await violations(page), [], 'an entry');
          await page.getByRole('button', { name: 'Edit' }).click();
          assert.deepEqual(await violations(page), [], 'the form');
          assert.equal(await isTooWide(page), false, 'the page is wider than the screen');
          await page.close();
        }
      }
    });

    it('works by keyboard alone: finds, registers, changes, deletes an entry, and takes that back', async () => {
      await service('register', '--name', 'keys/one', '--data', 'first');
      const page = await open();
      await live(page);
      await tabTo(page, 'filter');
      await page.keyboard.type('keys/');
      await row(page, 'after').waitFor({ state: 'detached' });
      await tabTo(page, 'keys');
      await page.keyboard.press('ArrowLeft');
      await row(page, 'keys/one').waitFor({ state: 'detached' });
      await page.keyboard.press('ArrowRight');
      await row(page, 'keys/one').waitFor();
      await page.keyboard.press('ArrowRight');
      await waitFor('the focus on the entry', async () => (await focused(page)) === 'keys/one');
      await page.keyboard.press('Enter');
      await tabTo(page, 'Edit');
      await page.keyboard.press('Enter');
      await waitFor('the form', async () => (await focused(page)) === 'form-data');
      await page.keyboard.press('ControlOrMeta+a');
      await page.keyboard.type('second');
      await tabTo(page, 'Save');
      await page.keyboard.press('Enter');
      await row(page, 'keys/one').getByText('second').waitFor();
      await tabTo(page, 'Delete');
      await page.keyboard.press('Enter');
      await row(page, 'keys/one').waitFor({ state: 'detached' });
      await tabTo(page, 'Undo');
      await page.keyboard.press('Enter');
      await row(page, 'keys/one').getByText('second').waitFor();
      await tabTo(page, 'register');
      await page.keyboard.press('Enter');
      await page.keyboard.type('keys/two');
      await page.keyboard.press('Tab');
      await page.keyboard.type('{"new": true}');
      await tabTo(page, 'Register');
      await page.keyboard.press('Enter');
      await row(page, 'keys/two').getByText('{"new":true}').waitFor();
      const { stdout } = await broker.client(['service', 'get', '--name', 'keys/two', '--cols', 'new']);
      assert.equal(stdout, 'true\n');
      await page.close();
    });

    it('keeps focus, selected text and a click that has begun while it shows changes', async () => {
      await service('register', '--name', 'kept/one', '--data', 'the first text');
      await service('register', '--name', 'kept/two', '--data', 'of the second entry');
      const page = await open();
      await live(page);
      const change = async (name: string, data: string): Promise<void> => {
        await service('replace', '--name', name, '--data', data);
        await row(page, name).getByText(data).waitFor();
      };
      /** Presses the button of the mouse, has another entry and this one shown anew, and releases it. */
      const clickSlowly = async (target: Locator, data: string): Promise<void> => {
        await target.hover();
        await page.mouse.down();
        await change('kept/one', data);
        await service('register', '--name', `kept/x-${data}`, '--data', 'a new row below');
        await row(page, `kept/x-${data}`).waitFor();
        await page.mouse.up();
      };
      await clickSlowly(row(page, 'kept/one'), 'changed');
      await page.locator('#panel pre').getByText('changed').waitFor();
      const pre = page.locator('#panel pre');
      await pre.selectText();
      await change('kept/two', 'changed too');
      assert.equal(await page.evaluate('String(getSelection())'), 'changed');
      for (const name of ['Edit', 'Delete', 'Close']) {
        await tabTo(page, name);
        await change('kept/one', `beside ${name}`);
        await pre.getByText(`beside ${name}`).waitFor();
        assert.equal(await focused(page), name);
      }
      await clickSlowly(page.getByRole('button', { name: 'Edit' }), 'the-latest');
      await waitFor('the form', async () => (await focused(page)) === 'form-data');
      assert.equal(await page.locator('#form-data').inputValue(), 'the-latest');
      await tabTo(page, 'Save');
      await page.keyboard.press('Enter');
      await waitFor(
        'the focus on what took the place of the form',
        async () => (await focused(page)) === 'Edit',
      );
      await service('delete', '--name', 'kept/one');
      await waitFor('the focus on the last button', async () => (await focused(page)) === 'Close');
      await page.close();
    });

    it('takes nothing back that was changed again since', async () => {
      await service('register', '--name', 'again', '--data', 'one');
      const page = await open();
      await live(page);
      await row(page, 'again').click();
      await page.getByRole('button', { name: 'Edit' }).click();
      await page.locator('#form-data').fill('two');
      await page.getByRole('button', { name: 'Save' }).click();
      await row(page, 'again').getByText('two').waitFor();
      await service('replace', '--name', 'again', '--data', 'three');
      await page.getByRole('button', { name: 'Undo' }).click();
      await page.getByText('It cannot be taken back').waitFor();
      await row(page, 'again').getByText('three').waitFor();
      await page.close();
    });

    it('keeps the line ends of a text, whatever of it is edited', async () => {
      const page = await open();
      await live(page);
      await service('register', '--name', 'lines', '--data', 'a\r\nb\rc');
      const saved = async (field: string, text: string): Promise<string> => {
        await row(page, 'lines').click();
        await page.getByRole('button', { name: 'Edit' }).click();
        await page.locator(field).fill(text);
        await page.getByRole('button', { name: 'Save' }).click();
        await page.getByRole('button', { name: 'Edit' }).waitFor();
        return (await broker.client(['service', 'get', '--name', 'lines'])).stdout;
      };
      assert.equal(await saved('#form-ttl', '60s'), 'a\r\nb\rc\n');
      await service('replace', '--name', 'lines', '--data', 'a\r\nb');
      assert.equal(await saved('#form-data', 'a\nb\nc'), 'a\r\nb\r\nc\n');
      await page.close();
    });

    it('shows a refusal beside the form, and keeps what was typed', async () => {
      const page = await open();
      await live(page);
      await page.locator('#register').click();
      await page.locator('#form-name').fill('again');
      await page.locator('#form-data').fill('more');
      await page.getByRole('button', { name: 'Register', exact: true }).click();
      await page.getByText("Entry 'again' already exists").waitFor();
      assert.equal(await page.locator('#form-data').inputValue(), 'more');
      await page.close();
    });

    it('says how the broker is with scripts off', async () => {
      const page = await open({ javaScriptEnabled: false });
      assert.equal(await page.locator('#state').innerText(), 'Ready');
      assert.match(await page.locator('#checks').innerText(), /registry\s*ok/);
      assert.match(await page.locator('noscript').innerText(), /bpclient service list/);
      assert.ok((await page.locator('body').innerText()).includes(broker.fingerprint));
      await page.close();
    });

    it('asks for the key, keeps it in memory alone, and says when it is wrong', async () => {
      const config = { services: { _access_key: 'the-secret-key' }, ping: {} };
      const guarded = await startBroker(launcher, { config });
      const page = await open({}, guarded.port);
      await page.locator('#key').waitFor();
      assert.deepEqual(await violations(page), []);
      await page.locator('#key').fill('wrong');
      await page.locator('#key').press('Enter');
      await page.getByText('Incorrect access key').waitFor();
      await page.locator('#key').fill('the-secret-key');
      await page.locator('#key').press('Enter');
      await live(page);
      await page.locator('#register').click();
      await page.locator('#form-name').fill('made/with-the-key');
      await page.locator('#form-data').fill('x');
      await page.getByRole('button', { name: 'Register', exact: true }).click();
      await row(page, 'made/with-the-key').waitFor();
      const kept: string = await page.evaluate(
        'location.href + document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)',
      );
      assert.ok(!kept.includes('the-secret-key'));
      await page.reload();
      await page.locator('#key').waitFor();
      assert.equal(await page.locator('#key').inputValue(), '');
      await page.close();
      await guarded.kill();
    });

    it('makes only the rows that are seen of 10,000 entries', async () => {
      const many = Object.fromEntries(
        Array.from({ length: 10_000 }, (_, n) => [
          `many/${String(n).padStart(5, '0')}`,
          { _str: `value ${n}` },
        ]),
      );
      const full = await startBroker(launcher, { config: { services: many, ping: {} } });
      const page = await open({}, full.port);
      await live(page);
      await row(page, 'many').click();
      await row(page, 'many/00001').waitFor();
      assert.ok((await page.locator('.row').count()) < 100);
      await row(page, 'many').focus();
      await page.keyboard.press('End');
      await row(page, 'many/09999').getByText('value 9999').waitFor();
      assert.ok((await page.locator('.row').count()) < 100);
      await page.locator('#filter').fill('value 4321');
      await row(page, 'many/04321').waitFor();
      assert.equal(await page.locator('.row').count(), 2);
      await page.close();
      await full.kill();
    });

    it('asks nobody but its broker, and breaks no rule of its own policy', async () => {
      await waitFor('the requests', () => requested.size > 0);
      assert.deepEqual(
        [...requested].filter((origin) => !origin.startsWith('https://127.0.0.1:')),
        [],
      );
      assert.deepEqual(complaints, []);
    });
  });
}
