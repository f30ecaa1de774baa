import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { type Broker, openBroker } from '../../../src/broker/broker.ts';
import { readExposition, type ScrapedSample, valueOf } from '../../support/registry/exposition.ts';
import { post } from '../../support/network/https.ts';
import { run } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';

const examples = path.join(root, 'examples');
const unix = process.platform === 'win32' ? 'its extension is a shell script' : false;

/** Asks for a name in the open form; what comes back is not waited for. */
async function ask(port: number, name: string): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.send(`${name}\n`, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
  });
  socket.close();
}

describe('/metrics of a broker that has done a bit of everything', { skip: unix }, () => {
  const dir = tempDir();
  const file = path.join(dir, 'bpbroker.json');
  let broker: Broker;
  let lost = 0;
  let udpPort = 0;
  const textNow = async (): Promise<string> => (await broker.app.request('/metrics')).text();
  const scrape = async (): Promise<ScrapedSample[]> => readExposition(await textNow());

  before(async () => {
    mkdirSync(path.join(dir, 'lib'), { mode: 0o700 });
    writeFileSync(path.join(dir, 'lib', 'say'), '#!/bin/sh\necho "$1"\n', { mode: 0o700 });
    const config = {
      api: { listen_port: 0, listen_ip: '127.0.0.1' },
      say: {},
      _global: { healthcheck_freq_sec: 0.2 },
      _audit: { to: 'file' as const },
    };
    broker = await openBroker({ file, config, lostLines: () => lost });
    const address = await broker.listen();
    ({ udpPort } = address);
    for (const name of ['a', 'b']) {
      const path_ = '/services/Register';
      await post({ port: address.port, path: path_, body: { name, data: 'x' } });
    }
    const said = await post({ port: address.port, path: '/say/Hello', body: {} });
    assert.equal(said.status, 200);
    for (const name of ['a', 'none', '_reserved']) await ask(udpPort, name);
    await waitFor('discovery, a backup and a check', async () => {
      const samples = await scrape();
      const received = samples.filter(({ name }) => name === 'bpbroker_discovery_queries_total');
      const sum = received.reduce((all, { value }) => all + value, 0);
      return sum === 3 && valueOf(samples, 'bpbroker_backup_last_success_timestamp_seconds');
    });
  });
  after(() => broker.close());

  it('tells of commits, the journal and calls of extensions', async () => {
    const samples = await scrape();
    const commits = valueOf(samples, 'bpbroker_journal_commit_duration_seconds_count') ?? 0;
    assert.ok(commits >= 1 && commits <= 2, String(commits));
    assert.ok((valueOf(samples, 'bpbroker_journal_commit_duration_seconds_sum') ?? 0) > 0);
    assert.ok((valueOf(samples, 'bpbroker_journal_bytes') ?? 0) > 100);
    assert.equal(valueOf(samples, 'bpbroker_extension_duration_seconds_count'), 1);
    assert.ok((valueOf(samples, 'bpbroker_disk_free_bytes') ?? 0) > 0);
  });

  it('tells what became of queries, also after a reload has made another responder', async () => {
    const outcomes = async (): Promise<Record<string, number>> => {
      const found = (await scrape()).filter(({ name }) => name === 'bpbroker_discovery_queries_total');
      return Object.fromEntries(found.map(({ labels, value }) => [labels['outcome'], value]));
    };
    const before_ = await outcomes();
    assert.equal(before_['answered'], 1);
    assert.equal(before_['not_held'], 1);
    assert.equal(before_['malformed'], 1);
    const key = randomBytes(32).toString('hex');
    const written = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...written, discover: { _access_key: key } }));
    await broker.reload();
    await ask(udpPort, 'a');
    await waitFor('the ignored query', async () => (await outcomes())['open_form'] === 1);
    assert.deepEqual(await outcomes(), { ...before_, open_form: 1 });
  });

  it('tells of the audit trail, and of one that cannot be written', async () => {
    const before_ = valueOf(await scrape(), 'bpbroker_audit_lines_total') ?? 0;
    assert.ok(before_ >= 5, String(before_));
    const trail = path.join(dir, 'bpbroker.audit.jsonl');
    renameSync(trail, `${trail}.1`);
    mkdirSync(trail);
    await broker.reload();
    await waitFor('the warning', async () => valueOf(await scrape(), 'bpbroker_warning', { id: 'audit' }));
    rmdirSync(trail);
    await waitFor('its end', async () => !valueOf(await scrape(), 'bpbroker_warning', { id: 'audit' }));
    const samples = await scrape();
    assert.ok((valueOf(samples, 'bpbroker_audit_lines_total') ?? 0) > before_);
    assert.equal(valueOf(samples, 'bpbroker_audit_lines_lost_total'), 0);
  });

  it('tells of the process as every other does', async () => {
    const samples = await scrape();
    const now = Date.now() / 1000;
    const started = valueOf(samples, 'process_start_time_seconds') ?? 0;
    assert.ok(Math.abs(started - (now - process.uptime())) < 5, String(started));
    assert.ok((valueOf(samples, 'process_cpu_seconds_total') ?? 0) > 0.01);
    assert.ok((valueOf(samples, 'process_resident_memory_bytes') ?? 0) > 10_000_000);
    if (process.platform === 'linux') assert.ok((valueOf(samples, 'process_open_fds') ?? 0) > 5);
    assert.ok(valueOf(samples, 'bpbroker_connections') !== undefined);
  });

  it('tells each warning of /readyz, from the same list', async () => {
    assert.equal(valueOf(await scrape(), 'bpbroker_warning', { id: 'log' }), undefined);
    lost = 7;
    const readiness = (await (await broker.app.request('/readyz')).json()) as {
      ready: boolean;
      warnings: { id: string; message: string; since: string }[];
    };
    assert.equal(readiness.ready, true);
    const warning = readiness.warnings.find(({ id }) => id === 'log');
    assert.match(warning?.message ?? '', /^7 lines of the log were lost/);
    assert.ok(Math.abs(Date.parse(warning?.since ?? '') - Date.now()) < 60_000);
    const samples = await scrape();
    assert.equal(valueOf(samples, 'bpbroker_warning', { id: 'log' }), 1);
    assert.equal(valueOf(samples, 'bpbroker_log_lines_lost_total'), 7);
    assert.equal(valueOf(samples, 'bpbroker_ready'), 1);
  });

  it('is what promtool takes for good', { skip: lacking('promtool') }, async () => {
    const checked = await run(['promtool', 'check', 'metrics'], { input: await textNow() });
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    assert.equal(checked.stdout + checked.stderr, '', 'no advice either');
  });

  it('has every metric that the dashboard and the alerts name, and they leave none out', async () => {
    lost = 8;
    const exported = new Set((await scrape()).map(({ name }) => name));
    const text = ['grafana/bpbroker.json', 'prometheus/bpbroker.rules.yml']
      .map((file_) => readFileSync(path.join(examples, file_), 'utf8'))
      .join('\n');
    const named = new Set(text.match(/\b(?:bpbroker|process)_[a-z_]+\b/g));
    assert.ok(named.size > 25);
    for (const name of named) assert.ok(exported.has(name), `${name} is named, and not exported`);
    const family = (name: string): string => name.replace(/_(?:bucket|sum|count)$/, '');
    const shown = new Set([...named].map(family));
    for (const name of exported) assert.ok(shown.has(family(name)), `${name} is exported, and not shown`);
  });
});

describe('the alerts in examples/prometheus', { skip: lacking('promtool') }, () => {
  const rules = path.join(examples, 'prometheus');

  it('are rules that promtool takes', async () => {
    const checked = await run(['promtool', 'check', 'rules', 'bpbroker.rules.yml'], { cwd: rules });
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  });

  it('call nobody for a broker that is well, and somebody for each trouble', async () => {
    const tested = await run(['promtool', 'test', 'rules', 'bpbroker.test.yml'], { cwd: rules });
    assert.equal(tested.code, 0, tested.stdout + tested.stderr);
  });

  it('are tested, each of them, for both', () => {
    const names = [
      ...readFileSync(path.join(rules, 'bpbroker.rules.yml'), 'utf8').matchAll(/- alert: (\w+)/g),
    ];
    const tests = readFileSync(path.join(rules, 'bpbroker.test.yml'), 'utf8');
    for (const [, name = ''] of names)
      assert.equal(tests.match(new RegExp(`\\b${name}\\b`, 'g'))?.length, 2, name);
  });
});
