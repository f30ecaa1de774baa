import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { after, before, describe, it } from 'node:test';
import { launchers, type RunningBroker, startBroker } from '../../support/programs/programs.ts';

/** A file as bpbroker 0.22 wrote it: Python's json.dump, all on one line, entries and options together. */
const config022 = {
  api: {},
  worker: {},
  _global: { healthcheck_freq_sec: 10 },
  _config: { backup_freq_secs: 3600, backup_retain_n: 24 },
  ping: {},
  ossec: { _access_key: 'ossec secret', manager: '10.0.0.9' },
  services: {
    _access_key: 'secret',
    foo: { _str: 'bar', last_write_ip: '127.0.0.1', last_write_ts: 1420068290 },
    db: { host: '10.0.0.5', last_write_ip: '10.0.0.7', last_write_ts: 1420068291 },
  },
};

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A request as the original's client made it: the parameters in the query string, no certificate checked. */
function request(port: number, method: string, path: string, form?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
    const outgoing = https.request(
      { port, method, path, headers, rejectUnauthorized: false, agent: false },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => (text += part));
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(form);
  });
}

for (const launcher of launchers) {
  const skip = launcher.available === true ? false : launcher.available;
  describe(`the original's clients and files, on ${launcher.name}`, { skip }, () => {
    let broker: RunningBroker;
    const send = (method: string, path: string, form?: string): Promise<Answer> =>
      request(broker.port, method, path, form);

    before(async () => {
      broker = await startBroker(launcher, { config: config022 });
    });
    after(() => broker.kill());

    it('reads entries of a 0.22 file', async () => {
      const { status, body } = await send('POST', '/services/Get/?access_key=secret&name=foo');
      assert.equal(status, 200);
      assert.deepEqual([body['success'], body['message']], [true, 'Success']);
      assert.deepEqual(body['data'], { _str: 'bar', last_write_ip: '127.0.0.1', last_write_ts: 1420068290 });
    });

    it('registers, replaces, updates and deletes with parameters in the query string', async () => {
      const key = 'access_key=secret';
      const data = encodeURIComponent('{"a": 3, "b": "foo"}');
      const registered = await send('POST', `/services/Register/?${key}&name=test2&data=${data}`);
      const entry = registered.body['data'] as Record<string, unknown>;
      assert.deepEqual([entry['a'], entry['b'], entry['last_write_ip']], [3, 'foo', '127.0.0.1']);
      const again = await send('POST', `/services/Register/?${key}&name=test2&data=${data}`);
      assert.deepEqual(
        [again.body['success'], again.body['message']],
        [false, "Entry 'test2' already exists"],
      );
      const updated = await send('POST', `/services/Update/?${key}&name=test2&data=%7B%22c%22%3A+1%7D`);
      assert.equal((updated.body['data'] as Record<string, unknown>)['c'], 1);
      const replaced = await send('POST', `/services/Replace/?${key}&name=test2&data=text`);
      assert.equal((replaced.body['data'] as Record<string, unknown>)['_str'], 'text');
      assert.equal((await send('DELETE', `/services/Delete/?${key}&name=test2`)).body['success'], true);
      const gone = await send('GET', `/services/Get/?${key}&name=test2`);
      assert.deepEqual([gone.body['success'], gone.body['message']], [false, "Entry 'test2' not found"]);
    });

    it('takes the same parameters as a form', async () => {
      const { body } = await send('POST', '/services/Get/', 'access_key=secret&name=db');
      assert.equal((body['data'] as Record<string, unknown>)['host'], '10.0.0.5');
    });

    it('answers a ping with the caller and what it sent', async () => {
      assert.deepEqual((await send('POST', '/ping/Ping/?data=foo&access_key=')).body, {
        src: '127.0.0.1',
        data: { _str: 'foo' },
      });
    });

    it('answers 401 without the key, and never reveals the key', async () => {
      for (const path of ['/services/Get/?name=foo', '/services/Get/?name=foo&access_key=wrong']) {
        assert.equal((await send('POST', path)).status, 401);
      }
      assert.equal((await send('POST', '/services/Get/?access_key=secret&name=_access_key')).status, 400);
      const { body } = await send('POST', '/services/List/?access_key=secret');
      assert.doesNotMatch(JSON.stringify(body), /_access_key|secret/);
    });

    it("answers the original's datagram, and is silent about names it does not hold", async () => {
      const socket = createSocket('udp4');
      const answers: string[] = [];
      socket.on('message', (message) => answers.push(message.toString('latin1')));
      for (const query of ['_access_key\n', 'nope\n', 'foo\n'])
        socket.send(query, broker.udpPort, '127.0.0.1');
      await once(socket, 'message');
      socket.close();
      assert.deepEqual(answers, ['Key Exists\n']);
    });

    it('writes everything back when it stops: entries, keys, unknown modules, and the defaults spelled out', async () => {
      const { code } = await broker.stop();
      assert.equal(code, 0, broker.stderr());
      const written = JSON.parse(readFileSync(broker.configFile, 'utf8')) as typeof config022 &
        Record<string, unknown>;
      assert.deepEqual(written.services, config022.services);
      assert.deepEqual(written.ossec, config022.ossec);
      assert.deepEqual(written.api, { listen_port: 0, listen_ip: '', ssl_cert: '', ssl_key: '' });
      assert.deepEqual(written['_store'], { driver: 'file', max_bytes: 1024 ** 3 });
    });
  });
}
