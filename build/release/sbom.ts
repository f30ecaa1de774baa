import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { bundledPackages } from '../executable/bundled.ts';
import { capture } from '../process.ts';
import { root } from '../root.ts';

interface Component {
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly 'bom-ref': string;
}

interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/**
 * The software bill of materials of a release, CycloneDX 1.5 as JSON. It is npm's own, reduced to the
 * contents of the programs, with the runtime added. It contains nothing of this moment or machine.
 */
export async function billOfMaterials(time: number): Promise<string> {
  const command = ['npm', 'sbom', '--sbom-format=cyclonedx', '--package-lock-only', '--omit=dev'];
  const bom = JSON.parse(await capture(command, { cwd: root })) as Bom;
  const inside = new Set(bundledPackages().map(({ name, version }) => `${name}@${version}`));
  const components = bom.components.filter(({ name, version }) => inside.has(`${name}@${version}`));
  if (components.length < inside.size) {
    const listed = new Set(components.map(({ name, version }) => `${name}@${version}`));
    throw new Error(`npm sbom left out ${[...inside].filter((one) => !listed.has(one)).join(', ')}`);
  }
  const bun = runtimeComponent();
  const own = { ...bom.metadata.component, type: 'application', name: 'bpbroker' };
  const refs = new Set([own['bom-ref'], ...components.map((one) => one['bom-ref'])]);
  const kept = bom.dependencies.filter(({ ref }) => refs.has(ref));
  const dependencies = kept.map(({ ref, dependsOn }) => ({
    ref,
    dependsOn: [
      ...dependsOn.filter((one) => refs.has(one)),
      ...(ref === own['bom-ref'] ? [bun['bom-ref']] : []),
    ],
  }));
  const body = { components: [...components, bun], dependencies };
  const text = JSON.stringify(body);
  return `${JSON.stringify(
    {
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      serialNumber: `urn:uuid:${uuidOf(text)}`,
      version: 1,
      metadata: { timestamp: new Date(time * 1000).toISOString(), component: own },
      ...body,
    },
    undefined,
    2,
  )}\n`;
}

function runtimeComponent(): Component & { readonly purl: string; readonly licenses: readonly object[] } {
  const { version } = JSON.parse(
    readFileSync(path.join(root, 'node_modules', 'bun', 'package.json'), 'utf8'),
  ) as { version: string };
  return {
    'bom-ref': `bun@${version}`,
    type: 'framework',
    name: 'bun',
    version,
    purl: `pkg:npm/bun@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
  };
}

/** A version 8 UUID (RFC 9562) made of the text. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
