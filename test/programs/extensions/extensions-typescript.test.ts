import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { launchers } from '../../support/programs/programs.ts';
import { brokerWith } from './extension-files.ts';
import { skipOf } from '../support.ts';

/** Types that are erased, an import of the library's types, which is not installed there, and one of a file beside it. */
const source = `
import type { ExtensionRequest } from 'bpbroker';
import { shout } from './helpers/shout.ts';
interface Answer { readonly text: string }
export function Shout({ data }: ExtensionRequest): Answer {
  return { text: shout(String(data)) satisfies string };
}
`;
const helper = 'export const shout = (text: string): string => `${text.toUpperCase()}!`;\n';

for (const launcher of launchers) {
  describe(`TypeScript extensions, on ${launcher.name}`, { skip: skipOf(launcher) }, () => {
    const [major = 0, minor = 0] = launcher.version.split('.').map(Number);
    const runsTypeScript = !launcher.name.startsWith('node') || major > 22 || (major === 22 && minor >= 18);

    it(runsTypeScript ? 'run as they are' : 'are refused with what would run them', async () => {
      const broker = await brokerWith(launcher, { 'loud.ts': source, 'helpers/shout.ts': helper });
      const { code, stdout, stderr } = await broker.client([
        'execute',
        '--method',
        'loud.Shout',
        '--data',
        'hey',
      ]);
      if (runsTypeScript) {
        assert.deepEqual([code, stdout], [0, '{"text":"HEY!"}\n'], stderr);
      } else {
        assert.equal(code, 1);
        assert.match(stderr, /runs on Node [\d.]+, which cannot run TypeScript: use Node 22\.18 or later/);
      }
      await broker.kill();
    });
  });
}

describe('the executable', () => {
  const executable = launchers.find(({ name }) => name === 'executable');
  const skip = executable ? skipOf(executable) : 'there is none';

  it('runs TypeScript on a machine with no Node, Bun or Deno', { skip }, async () => {
    if (!executable) return;
    const env = { PATH: '/nonexistent' };
    const broker = await brokerWith(executable, { 'loud.ts': source, 'helpers/shout.ts': helper }, {}, env);
    const { stdout, stderr } = await broker.client(['execute', '--method', 'loud.Shout', '--data', 'hey'], {
      env,
    });
    assert.equal(stdout, '{"text":"HEY!"}\n', stderr);
    await broker.kill();
  });
});
