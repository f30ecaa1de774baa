import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { run } from '../../support/programs/run.ts';
import { lacking } from '../../support/programs/tools.ts';
import { reference, skipOf } from '../support.ts';

/** The suites of what a registry does for its users: not those of its file. */
const suites = ['registry/conditional', 'lock/lock', 'registry/waiting', 'registry/watch'];

describe(
  'brokers whose registry is in etcd pass what those with a file pass',
  {
    skip: lacking('etcd') || skipOf(reference),
    timeout: 600_000,
  },
  () => {
    let cluster: EtcdCluster;
    before(async () => {
      cluster = await startEtcd();
    });

    for (const suite of suites) {
      it(suite, async () => {
        const { NODE_TEST_CONTEXT: _, ...env } = process.env as Record<string, string>;
        const command = [process.execPath, '--test', `test/programs/${suite}.test.ts`];
        const { code, stdout } = await run(command, {
          cwd: root,
          env: { ...env, BPBROKER_TEST_ETCD: cluster.endpoints.join(',') },
          timeoutMs: 280_000,
        });
        assert.equal(code, 0, stdout.slice(stdout.indexOf('failing tests')));
        assert.match(stdout, /pass [1-9]/);
      });
    }
  },
);
