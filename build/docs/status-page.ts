import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { capture } from '../process.ts';
import { root } from '../root.ts';

/**
 * Makes `docs/pictures/status-page.png`: the status page of a broker with the entries of README's example.
 * Run it with `npm run build:picture`. It needs the executables (`npm run build`) and `/usr/bin/chromium`.
 */
const entries: Readonly<Record<string, string>> = {
  'shop-cluster1': '{"db": "10.0.0.5", "port": 5432}',
  'shop-cluster1/node/web1': 'ready',
  'shop-cluster1/node/web2': 'ready',
};

async function untilReady(broker: ReturnType<typeof spawn>): Promise<string> {
  let printed = '';
  return new Promise((resolve, reject) => {
    broker.once('close', () => reject(new Error(`The broker ended: ${printed}`)));
    broker.stderr?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      const url = /^ready: (https:\/\/\S+)/m.exec(printed)?.[1];
      if (url) resolve(url);
    });
  });
}

async function takePicture(dir: string): Promise<void> {
  const file = path.join(dir, 'bpbroker.json');
  writeFileSync(file, JSON.stringify({ ping: {}, services: {} }));
  const env = { ...process.env, HOME: dir, BPBROKER_INTERFACES: 'lo' };
  const start = ['start', '--config', file, '--listen-port', '0', '--listen-ip', '127.0.0.1'];
  const broker = spawn(path.join(root, 'dist', 'bpbroker'), start, {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    const address = new URL(await untilReady(broker)).host;
    for (const [name, data] of Object.entries(entries)) {
      const register = ['--bpbroker', address, 'service', 'register', '--name', name, '--data', data];
      await capture([path.join(root, 'dist', 'bpclient'), ...register], { env });
    }
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
    const size = { width: 1000, height: 450 };
    const page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: size, colorScheme: 'light' });
    await page.goto(`https://${address}/`);
    await page.locator('.row[data-path="shop-cluster1"]').click();
    await page.locator('#feed[data-kind="live"]').waitFor();
    await page.screenshot({ path: path.join(root, 'docs', 'pictures', 'status-page.png') });
    await browser.close();
  } finally {
    broker.kill();
  }
}

const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-picture-'));
try {
  await takePicture(dir);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
