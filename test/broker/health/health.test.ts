import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type Broker, openBroker } from '../../../src/broker/broker.ts';
import { checkCertificate } from '../../../src/broker/health/checks/certificate.ts';
import { makeSelfSigned } from '../../../src/broker/self-signed.ts';
import { checkListeners } from '../../../src/broker/health/checks/listeners.ts';
import { createSelfQuery } from '../../../src/broker/health/checks/self-query.ts';
import type { Finding } from '../../../src/api/readiness.ts';
import { type Health, startHealth } from '../../../src/broker/health/health.ts';
import { startResponder } from '../../../src/broker/discovery/responder.ts';
import { type Logger, silentLogger } from '../../../src/protocol/logger.ts';
import { put } from '../../store/support.ts';
import { makeCertificate } from '../../support/network/certificate.ts';
import { unmount } from '../../support/teardown.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';

const DAY_MS = 86_400_000;

/** The lines of a log, as `level check state`. */
function recordingLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const at =
    (level: string): Logger['info'] =>
    (message, fields = {}) =>
      lines.push(`${level} ${fields['check'] ?? message}`);
  return { lines, log: { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') } };
}

describe('startHealth()', () => {
  it('says a change once, calls onAlive while what is vital is well, and counts no warning', async () => {
    const { log, lines } = recordingLog();
    let finding: Finding = { ok: true };
    let runs = 0;
    let healthy = 0;
    const health = startHealth({
      checks: {
        part: () => {
          runs++;
          return finding;
        },
      },
      live: { store: () => ({ ok: true }) },
      vital: ['part'],
      everyMs: () => 5,
      log,
      onAlive: () => {
        healthy++;
        throw new Error('as a watchdog may');
      },
    });
    const some = async (): Promise<void> => {
      const from = runs;
      await waitFor('some checks', () => runs >= from + 4);
    };
    await some();
    assert.ok(healthy >= 3);
    finding = { ok: true, warning: 'soon' };
    await some();
    const { warnings, ...rest } = health.readiness();
    assert.deepEqual(rest, {
      ready: true,
      checks: { store: { ok: true }, part: { ok: true, warning: 'soon' } },
    });
    assert.deepEqual(
      warnings.map(({ id, message }) => [id, message]),
      [['part', 'soon']],
    );
    finding = { ok: false, reason: 'broken 1' };
    await some();
    finding = { ok: false, reason: 'broken 2' };
    const before = healthy;
    await some();
    assert.equal(healthy, before);
    assert.equal(health.readiness().ready, false);
    assert.deepEqual(health.readiness().warnings, [], 'what has failed is no warning');
    finding = { ok: true };
    await waitFor('recovery', () => health.readiness().ready);
    await some();
    health.close();
    assert.deepEqual(
      lines.filter((line) => line.endsWith(' part')),
      ['warn part', 'error part', 'info part'],
    );
  });

  it('takes a check that throws for a failure, and never runs two of one that hangs', async () => {
    let started = 0;
    const health: Health = startHealth({
      checks: {
        hangs: () => {
          started++;
          return new Promise(() => undefined);
        },
        throws: () => Promise.reject(new Error('no such thing')),
      },
      live: {},
      everyMs: () => 5,
      checkMs: 50,
      log: silentLogger,
    });
    await waitFor('the verdict', () => health.readiness().checks['hangs']);
    health.checkSoon();
    health.checkSoon();
    assert.match(health.readiness().checks['hangs']?.reason ?? '', /has not ended within/);
    assert.equal(health.readiness().checks['throws']?.reason, 'no such thing');
    assert.equal(started, 1);
    health.close();
  });
});

describe('checkCertificate()', () => {
  it('warns 30 days before the end, fails after it, and takes our own for good', async () => {
    const now = Date.now();
    const { cert: pem } = await makeSelfSigned('test', now - DAY_MS, now + 40 * DAY_MS);
    assert.deepEqual(checkCertificate(pem, now), { ok: true });
    assert.match(checkCertificate(pem, now + 11 * DAY_MS).warning ?? '', /expires on .*, in 28 days/);
    assert.match(checkCertificate(pem, now - 2 * DAY_MS).warning ?? '', /not valid before .*clock/);
    const expired = checkCertificate(pem, now + 41 * DAY_MS);
    assert.deepEqual([expired.ok, /expired on/.test(expired.reason ?? '')], [false, true]);
    assert.deepEqual(checkCertificate((await makeCertificate()).cert, now), { ok: true });
  });
});

describe('checkListeners()', () => {
  const config = { api: { listen_port: 0 }, _global: { healthcheck_freq_sec: 0.1 } };

  it('finds a TCP port that takes connections and answers none, and a UDP port that is silent', async () => {
    const selfQuery = createSelfQuery();
    const deaf = createServer();
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    const { port } = deaf.address() as { port: number };
    const address = { url: '', port, udpPort: port, fingerprint: 'x', keyed: false };
    const { ok, reason = '' } = await checkListeners(address, '127.0.0.1', selfQuery, { askMs: 300 });
    deaf.close();
    assert.equal(ok, false);
    assert.match(reason, /TCP: no answer within 300 ms \(127\.0\.0\.1\); UDP: .*\(127\.0\.0\.1\)/);
  });

  it('finds another program with another certificate in our place', async () => {
    const other = await openBroker({ file: path.join(tempDir(), 'bpbroker.json'), config });
    const address = await other.listen();
    const forged = { ...address, fingerprint: '0'.repeat(64) };
    const { reason = '' } = await checkListeners(forged, '', createSelfQuery(), { askMs: 300 });
    assert.match(reason, /TCP: .* presents another certificate, sha256:/);
    assert.match(reason, /UDP: no answer/, 'the token of one broker says nothing to another');
    await other.close();
  });

  it('needs no form of discovery to find UDP well, and counts as no query', async () => {
    const selfQuery = createSelfQuery();
    const silentForm = { read: () => 'malformed' as const };
    const has = (): Promise<boolean> => Promise.resolve(false);
    const responder = await startResponder({
      listenIp: '127.0.0.1',
      port: 0,
      has,
      log: silentLogger,
      form: silentForm,
      isOwn: selfQuery.isOwn,
    });
    await selfQuery.ask('127.0.0.1', responder.port, 5000);
    assert.equal(responder.stats().received, 0);
    assert.equal(selfQuery.isOwn(new Uint8Array(16)), false);
    await responder.close();
  });

  for (const listenIp of ['', '127.0.0.1', '0.0.0.0', '::1']) {
    it(`finds a broker well that listens on '${listenIp}'`, async () => {
      const api = { listen_port: 0, listen_ip: listenIp };
      const broker = await openBroker({
        file: path.join(tempDir(), 'bpbroker.json'),
        config: { ...config, api },
      });
      await broker.listen();
      await waitFor('its own check', async () => (await readyOf(broker)).checks['listeners']);
      assert.deepEqual((await readyOf(broker)).checks['listeners'], { ok: true });
      await broker.close();
    });
  }
});

async function readyOf(broker: Broker): Promise<{ status: number; checks: Record<string, Finding> }> {
  const response = await broker.app.request('/readyz');
  const { checks } = (await response.json()) as { checks: Record<string, Finding> };
  return { status: response.status, checks };
}

describe('/readyz', () => {
  it('is 503, with the reason, from when the journal is gone from its place, since nothing more is acknowledged', async () => {
    const dir = tempDir();
    const { log, lines } = recordingLog();
    let healthy = 0;
    const broker = await openBroker({
      file: path.join(dir, 'bpbroker.json'),
      log,
      config: { _global: { healthcheck_freq_sec: 0.05 } },
      onAlive: () => healthy++,
    });
    await waitFor('a good check', () => healthy > 0);
    assert.equal((await readyOf(broker)).status, 200);
    await broker.store.mutate('a', put('1'));
    const journal = path.join(dir, readdirSync(dir).find((name) => name.includes('.journal.')) ?? '');
    renameSync(journal, `${journal}.moved`);
    await waitFor('the failure', async () => (await readyOf(broker)).status === 503);
    assert.match((await readyOf(broker)).checks['disk']?.reason ?? '', /journal.* was moved or removed/);
    renameSync(`${journal}.moved`, journal);
    await assert.rejects(broker.store.mutate('b', put('2')), { code: 'unavailable' });
    assert.equal((await readyOf(broker)).status, 503);
    assert.equal(lines.filter((line) => line === 'error disk').length, 1);
    await broker.close();
  });

  const noMount = process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs Linux and root';
  it('is 200, with a warning, while the disk is nearly full', { skip: noMount }, async () => {
    const place = tempDir();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', place]);
    try {
      const file = path.join(place, 'bpbroker.json');
      const broker = await openBroker({ file });
      await waitFor('the warning', async () => (await readyOf(broker)).checks['disk']?.warning);
      const { status, checks } = await readyOf(broker);
      assert.equal(status, 200);
      assert.match(checks['disk']?.warning ?? '', /^[\d.]+ MiB are free at .*; below 100 MiB$/);
      await broker.close();
    } finally {
      unmount(place);
    }
  });
});
