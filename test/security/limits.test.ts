import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { ownCertificateFiles } from '../../src/broker/certificate.ts';
import type { BrokerError } from '../../src/protocol/errors.ts';
import { connectTo, skipOf } from '../programs/support.ts';
import { launchers, startBroker } from '../support/programs/programs.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { connectRaw, sendRaw } from '../support/network/raw.ts';
import { waitFor } from '../support/wait.ts';

/** Rows "connections", "handshakes" and "lifetimes" of the security page, shown on the real programs. */

const linux = process.platform === 'linux' ? false : 'reads /proc: needs Linux';

/** Processor time that a process has used, in seconds. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

for (const launcher of launchers) {
  describe(`limits of a broker on ${launcher.name}`, { skip: skipOf(launcher) || linux }, () => {
    it('row "connections": under ulimit -n 64, more long polls are answered or refused, and /readyz says so', async () => {
      // Node 20 cannot even load a program of some dozen modules with 64.
      const limit = launcher.name === 'node20' ? 128 : 64;
      const limited = ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh', ...launcher.bpbroker];
      const broker = await startBroker({ ...launcher, bpbroker: limited });
      const polls: TLSSocket[] = [];
      let refused = 0;
      let answering = 0;
      for (let i = 0; i < limit - 14; i++) {
        const options = { port: broker.port, host: '127.0.0.1', rejectUnauthorized: false };
        const socket = tls.connect(options, () => {
          answering++;
          socket.write('GET /services/Get?name=later&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n');
        });
        socket.on('error', () => undefined);
        socket.once('close', () => refused++);
        socket.resume();
        polls.push(socket);
      }
      await waitFor('some to be refused', () => refused > 0, 20_000);
      await waitFor('others to be taken', () => answering >= 8, 20_000);
      // Handshakes that are still under way are work. Not each connection has an outcome.
      const outcomes = (): boolean => answering + refused >= polls.length;
      await waitFor('most outcomes', outcomes, 3000).catch(() => undefined);
      // A broker that goes on to accept where there is no descriptor left takes all of a core.
      const began = { cpu: cpuSeconds(broker.pid), at: performance.now() };
      await waitFor('two seconds', () => performance.now() - began.at > 2000);
      const share = (cpuSeconds(broker.pid) - began.cpu) / ((performance.now() - began.at) / 1000);
      assert.ok(share < 0.4, `it takes ${Math.round(share * 100)} % of a core`);
      for (const socket of polls.slice(0, -4)) socket.destroy();
      const ready = await waitFor(
        'a place for /readyz',
        async () => {
          const answer = await sendRaw(broker.port, 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n', {
            responses: 1,
          }).catch(() => undefined);
          return answer?.status === 200 ? answer : undefined;
        },
        20_000,
      );
      assert.match(ready.text, /"connections":\{"ok":true,"warning":"[^"]*limit of open files is \d+/);
      for (const socket of polls) socket.destroy();
      const client = await connectTo(broker, { retryForMs: 10_000 });
      await client.replace('later', 'x');
      client.close();
      assert.equal((await broker.stop()).code, 0);
    });

    it('row "connections": a certificate that was renewed under load leaves the limit as it was', async () => {
      const limited = ['sh', '-c', 'ulimit -n 256; exec "$@"', 'sh', ...launcher.bpbroker];
      const broker = await startBroker({ ...launcher, bpbroker: limited });
      const poll = (): Promise<{ readonly socket: TLSSocket; readonly text: () => string }> =>
        new Promise((resolve) => {
          const options = { port: broker.port, host: '127.0.0.1', rejectUnauthorized: false };
          let text = '';
          const poller = { socket: tls.connect(options), text: () => text };
          poller.socket.write('GET /services/Get?name=later&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n');
          poller.socket.on('data', (part: Buffer) => (text += part.toString('latin1')));
          poller.socket.on('error', () => undefined);
          poller.socket.once('secureConnect', () => resolve(poller));
          poller.socket.once('close', () => resolve(poller));
        });
      const former = await Promise.all(Array.from({ length: 120 }, poll));
      const { cert, key, fingerprint } = await makeCertificate();
      const { certFile, keyFile } = ownCertificateFiles(broker.configFile);
      writeFileSync(keyFile, key, { mode: 0o600 });
      writeFileSync(certFile, cert);
      process.kill(broker.pid, 'SIGHUP');
      await waitFor('the former polls to end', () => former.every(({ socket }) => socket.closed), 20_000);
      const later = await Promise.all(Array.from({ length: 150 }, poll));
      const client = await connectTo(
        { ...broker, fingerprint: `sha256:${fingerprint}` },
        { retryForMs: 10_000 },
      );
      await client.replace('later', 'x');
      client.close();
      await waitFor('all answers', () => later.every(({ socket, text }) => socket.closed || text() !== ''));
      const taken = later.filter(({ text }) => text().startsWith('HTTP/1.1 200 '));
      assert.equal(taken.length, 150);
      for (const { socket } of later) socket.destroy();
      assert.equal((await broker.stop()).code, 0);
    });

    it('row "handshakes": SIGTERM ends it, whatever its connections are in', async () => {
      const broker = await startBroker(launcher);
      const silent = net.connect(broker.port, '127.0.0.1');
      const half = net.connect(broker.port, '127.0.0.1');
      for (const socket of [silent, half]) socket.on('error', () => undefined);
      half.write('\x16\x03\x01\x00', 'latin1');
      const idle = await connectRaw(broker.port);
      const stream = await connectRaw(broker.port);
      stream.write('GET /services/Watch HTTP/1.1\r\nHost: x\r\n\r\n');
      // Throws if it has to be killed.
      assert.equal((await broker.stop()).code, 0);
      for (const socket of [silent, half, idle, stream]) socket.destroy();
    });

    it('row "TLS 1.2 is the floor": a session is not negotiated anew by the client', async () => {
      const broker = await startBroker(launcher);
      const socket = await connectRaw(broker.port, { maxVersion: 'TLSv1.2' });
      let outcome = '';
      socket.once('close', () => (outcome ||= 'closed'));
      socket.renegotiate({}, (error) => (outcome ||= error ? 'refused' : 'done'));
      socket.resume();
      await waitFor('an outcome', () => outcome !== '', 15_000);
      assert.notEqual(outcome, 'done');
      socket.destroy();
      await broker.kill();
    });

    it('row "lifetimes": entries that clients renew outlive a broker that was stopped', async () => {
      const broker = await startBroker(launcher);
      const client = await connectTo(broker);
      const names = Array.from({ length: 20 }, (_, i) => `lease ${i}`);
      await Promise.all(names.map((name) => client.replace(name, 'x', { ttlMs: 3000 })));
      const over = new AbortController();
      const lost: string[] = [];
      const renewals = names.map(async (name) => {
        const own = await connectTo(broker);
        while (!over.signal.aborted) {
          await own.renew(name).catch((error: BrokerError) => {
            // The stop may have cut a connection that was idle; the next renewal makes another one.
            if (error.code !== 'unreachable') lost.push(`${name}: ${String(error)}`);
          });
          await new Promise((resolve) => {
            setTimeout(resolve, 1000);
          });
        }
        own.close();
      });
      await client.ping();
      process.kill(broker.pid, 'SIGSTOP');
      await new Promise((resolve) => {
        setTimeout(resolve, 6000);
      });
      process.kill(broker.pid, 'SIGCONT');
      await client.ping();
      const { entries } = await client.list('lease');
      over.abort();
      await Promise.all(renewals);
      assert.deepEqual(lost, []);
      assert.equal(entries.length, names.length);
      await waitFor(
        'the end of their lifetimes',
        async () => (await client.list('lease')).entries.length === 0,
        15_000,
      );
      client.close();
      await broker.kill();
    });
  });
}
