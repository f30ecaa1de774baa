import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}
interface Lock {
  readonly packages: Record<
    string,
    {
      readonly version?: string;
      readonly resolved?: string;
      readonly integrity?: string;
      readonly link?: true;
    }
  >;
}

const read = (file: string): unknown => JSON.parse(readFileSync(path.join(root, file), 'utf8'));

describe('row "supply chain"', () => {
  it('every dependency is pinned to one version', () => {
    const { dependencies, devDependencies } = read('package.json') as Manifest;
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
      assert.match(version, /^\d+\.\d+\.\d+$/, name);
  });

  it('the lock file holds the same versions, each with the hash of what is downloaded', () => {
    const { dependencies, devDependencies } = read('package.json') as Manifest;
    const { packages } = read('package-lock.json') as Lock;
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
      assert.equal(packages[`node_modules/${name}`]?.version, version, name);
    for (const [place, { resolved, integrity, link }] of Object.entries(packages)) {
      if (place === '' || link) continue;
      assert.match(integrity ?? '', /^sha512-/, place);
      // Packages of other platforms have no address of their own.
      if (resolved !== undefined) assert.match(resolved, /^https:\/\//, place);
    }
  });
});
