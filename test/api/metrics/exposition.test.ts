import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expositionOf } from '../../../src/api/metrics/exposition.ts';
import { createHistogram } from '../../../src/api/metrics/histogram.ts';
import { singleMetric } from '../../../src/api/metrics/metric.ts';

describe('expositionOf()', () => {
  it('escapes what the text format has a meaning for', () => {
    const labels = { path: 'C:\\x "y"\nz' };
    const text = expositionOf([
      { name: 'a', help: 'a\\b\nc "d"', type: 'gauge', samples: [{ labels, value: 1.5 }] },
    ]);
    assert.equal(text, '# HELP a a\\\\b\\nc "d"\n# TYPE a gauge\na{path="C:\\\\x \\"y\\"\\nz"} 1.5\n');
  });

  it('writes numbers as Prometheus reads them', () => {
    const values = [0, -1, 1e21, 1e-7, Infinity, -Infinity, Number.NaN];
    const lines = values.map(
      (value) => expositionOf([singleMetric('gauge', 'a', 'b', value)]).split('\n')[2],
    );
    assert.deepEqual(lines, ['a 0', 'a -1', 'a 1e+21', 'a 1e-7', 'a +Inf', 'a -Inf', 'a NaN']);
  });

  it('leaves a metric out that has nothing to tell', () => {
    assert.equal(expositionOf([{ name: 'a', help: 'b', type: 'counter', samples: [] }]), '');
  });

  it('adds up the buckets of a histogram, whose bounds belong to the bucket below them', () => {
    const histogram = createHistogram([1, 2]);
    for (const value of [0.5, 1, 1.5, 2, 7]) histogram.observe(value);
    const before = histogram.distribution();
    histogram.observe(1);
    const samples = [{ labels: { x: 'y' }, value: before }];
    assert.deepEqual(
      expositionOf([{ name: 'a', help: 'b', type: 'histogram', samples }])
        .split('\n')
        .slice(2),
      [
        'a_bucket{x="y",le="1"} 2',
        'a_bucket{x="y",le="2"} 4',
        'a_bucket{x="y",le="+Inf"} 5',
        'a_sum{x="y"} 12',
        'a_count{x="y"} 5',
        '',
      ],
    );
  });
});
