import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Json } from '../../src/protocol/formats/data.ts';
import { parseJson, toJson } from '../../src/protocol/formats/json.ts';
import { chooseSeed, createRandom } from '../support/random.ts';

describe('parseJson()', () => {
  it('reads keys with escapes as they are, whatever keys have been read before', (t) => {
    const seed = chooseSeed();
    t.diagnostic(`BPBROKER_SEED=${seed}`);
    const random = createRandom(seed);
    const part = (): string => random.pick(['', 'a', '\\', '\\"', '\n', ',', '"', '{', 'é', '__proto__']);
    for (let round = 0; round < 3000; round++) {
      // Members as a list: an object would be made by what is tested.
      const names = [...new Set([0, 1, 2].map(() => part() + part()))];
      const values: Json[] = names.map(
        (name, i) => [i, { [`x${i}`]: name }, '\\"', -1.5e-7, true, null, [], {}][i + random.below(5)] ?? i,
      );
      const members = names.map((name, i) => `${JSON.stringify(name)} :\t${JSON.stringify(values[i])}`);
      const read = parseJson(`[ {"x":1,"s":{${members.join(' ,\n')}}} ]`) as [{ s: Record<string, Json> }];
      assert.deepEqual(Object.keys(read[0].s).toSorted(), names.toSorted());
      for (const [i, name] of names.entries()) {
        assert.deepEqual(Object.getOwnPropertyDescriptor(read[0].s, name)?.value, values[i]);
      }
    }
  });

  it('refuses what is no JSON', () => {
    for (const text of ['', '{"\\\\":1,}', '{"\\":1}', '["\\\\"'])
      assert.throws(() => parseJson(text), SyntaxError);
  });
});

describe('toJson()', () => {
  it('escapes every control character, and is the same data', () => {
    const all = String.fromCharCode(...Array.from({ length: 0x100 }, (_, code) => code));
    const text = toJson({ [all]: all });
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f]/);
    assert.deepEqual(JSON.parse(text), { [all]: all });
  });

  it('is null for what JSON has no text for', () => {
    for (const value of [undefined, () => 1, Symbol('x')]) assert.equal(toJson(value), 'null');
  });
});
