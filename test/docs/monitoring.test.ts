import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { listFiles } from '../../build/stamp.ts';
import type { AuditRecord } from '../../src/api/audit/record.ts';
import { openBroker } from '../../src/broker/broker.ts';
import { tempDir } from '../support/temp.ts';

const textOf = (page: string): string => readFileSync(path.join(root, 'docs', page), 'utf8');

/** The metrics of the table by name, with their types. */
function tabled(): Map<string, string> {
  const rows = [
    ...textOf('monitoring.md').matchAll(/^\| ((?:`\w+`(?:, )?)+)[ †]* *\| (gauge|counter|histogram) /gm),
  ];
  return new Map(
    rows.flatMap(
      ([, names = '', type = '']) => names.match(/\w+/g)?.map((name) => [name, type] as const) ?? [],
    ),
  );
}

describe('docs/monitoring.md', () => {
  it('has every metric that the sources name, and no other', () => {
    const folders = ['api/metrics', 'api/audit', 'broker/metrics'];
    const files = folders.flatMap((folder) => listFiles(path.join(root, 'src', folder)));
    const named = files.flatMap(
      (file) => readFileSync(file, 'utf8').match(/(?<=')(?:bpbroker|process)_\w+(?=')/g) ?? [],
    );
    assert.ok(named.length > 20);
    assert.deepEqual([...tabled().keys()].toSorted(), [...new Set(named)].toSorted());
  });

  it('has the type that each metric of a broker has', async (t) => {
    const broker = await openBroker({
      file: `${tempDir()}/bpbroker.json`,
      config: { _audit: { to: 'log' } },
    });
    t.after(() => broker.close());
    const text = await (await broker.app.request('/metrics')).text();
    const served = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(
      ([, name = '', type]) => [name, type] as const,
    );
    assert.ok(served.length > 20);
    const said = tabled();
    for (const [name, type] of served) assert.equal(said.get(name), type, name);
  });
});

/** Every member of a line of the audit trail: TypeScript refuses one too few or too many. */
const members: Readonly<Record<keyof AuditRecord | 'seq', true>> = {
  seq: true,
  time: true,
  event: true,
  source: true,
  key: true,
  request: true,
  module: true,
  method: true,
  via: true,
  call: true,
  entry: true,
  prefix: true,
  revision: true,
  outcome: true,
  status: true,
  data: true,
  data_length: true,
  count: true,
  outcomes: true,
  version: true,
  instance: true,
};

describe('docs/audit.md', () => {
  it('names every member that a line may have', () => {
    const page = textOf('audit.md');
    const missing = Object.keys(members).filter((name) => !page.includes(`\`${name}\``));
    assert.deepEqual(missing, []);
  });
});
