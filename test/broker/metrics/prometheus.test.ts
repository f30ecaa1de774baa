import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { openBroker } from '../../../src/broker/broker.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { tempDir } from '../../support/temp.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { type Running, start } from '../../programs/support.ts';

const KEY = 'only-for-tests';

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** Starts Prometheus with the configuration in `dir`, on a port of its own. */
async function startPrometheus(dir: string): Promise<{ readonly server: Running; readonly port: string }> {
  const server = start(
    [
      'prometheus',
      `--config.file=${path.join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${path.join(dir, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    { env: cleanEnv(dir), cwd: dir },
  );
  const port = await waitFor(
    'its port',
    () => /"Listening on" address=127\.0\.0\.1:(\d+)/.exec(server.stderr())?.[1],
  );
  return { server, port };
}

async function query(port: string, expression: string): Promise<readonly Result[]> {
  const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
  const answer = (await (await fetch(url)).json()) as {
    readonly status: string;
    readonly error?: string;
    readonly data: { readonly result: readonly Result[] };
  };
  assert.equal(answer.status, 'success', `${expression}: ${answer.error}`);
  return answer.data.result;
}

/** The queries of the dashboard, as Grafana sends them. */
function dashboardQueries(): string[] {
  const text = readFileSync(path.join(root, 'examples', 'grafana', 'bpbroker.json'), 'utf8');
  const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] };
  return panels
    .flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    .map((expr) =>
      expr.replaceAll('$job', 'bpbroker').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'),
    );
}

/** Queries for what there is only in trouble. */
const emptyWhenWell = /bpbroker_warning|== 0|lines_lost|4xx\|5xx/;

describe(
  'a Prometheus with the configuration in examples/prometheus',
  { skip: lacking('prometheus') },
  () => {
    it('scrapes a broker over its own certificate with its key, and fills the dashboard', async (t) => {
      const dir = tempDir();
      const file = path.join(dir, 'bpbroker.json');
      const config = {
        api: { listen_port: 0, listen_ip: '127.0.0.1' },
        _metrics: { _access_key: KEY },
        _audit: { to: 'file' as const },
      };
      const broker = await openBroker({ file, config });
      t.after(() => broker.close());
      const { port } = await broker.listen();
      const example = path.join(root, 'examples', 'prometheus');
      copyFileSync(path.join(example, 'bpbroker.rules.yml'), path.join(dir, 'bpbroker.rules.yml'));
      writeFileSync(path.join(dir, 'bpbroker.key.txt'), KEY);
      const text = readFileSync(path.join(example, 'prometheus.yml'), 'utf8');
      const changed = text
        .replace('127.0.0.1:20443', `127.0.0.1:${port}`)
        .replaceAll('15s', '200ms')
        .replace('# authorization:', 'authorization:')
        .replace('#   credentials_file', '  credentials_file');
      writeFileSync(path.join(dir, 'prometheus.yml'), changed);
      await broker.app.request('/services/Register?name=a&data=b', { method: 'POST' });
      const { server, port: own } = await startPrometheus(dir);
      t.after(() => server.stop());
      await waitFor(
        'two scrapes',
        async () => Number((await query(own, 'count_over_time(up[1m])'))[0]?.value[1]) > 4,
        20_000,
      );
      assert.deepEqual(
        (await query(own, 'min_over_time(up[1m])')).map(({ value }) => value[1]),
        ['1'],
      );
      assert.deepEqual(
        (await query(own, 'bpbroker_registry_entries')).map(({ value }) => value[1]),
        ['1'],
      );
      for (const expression of dashboardQueries()) {
        const results = await query(own, expression);
        if (!emptyWhenWell.test(expression)) assert.ok(results.length > 0, `nothing for ${expression}`);
      }
      assert.deepEqual(await query(own, 'ALERTS'), []);
    });
  },
);
