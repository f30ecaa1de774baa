import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { root, tool } from '../../build/root.ts';
import { requests } from './requests.ts';
import { projectOf, served, startServer } from './server-process.ts';
import { call, type Target } from './target.ts';

interface Function {
  readonly name: string;
  readonly front: 'gateway' | 'url' | 'stream';
  readonly handler: string;
}

const functions: readonly Function[] = [
  { name: 'an API Gateway', front: 'gateway', handler: 'lambda.mjs' },
  { name: 'a function URL', front: 'url', handler: 'lambda.mjs' },
  { name: 'a function URL that streams', front: 'stream', handler: 'lambda-stream.mjs' },
];

async function startInstance({ front, handler }: Function): Promise<Target> {
  const program = path.join(root, 'test/anywhere/lambda-instance.ts');
  const dir = projectOf('test/anywhere/servers');
  const { origin } = await startServer(dir, [tool('node'), program, front, handler]);
  return {
    ...served(origin),
    clientAddress: '198.51.100.23',
    can: { stream: front === 'stream', concurrent: false },
  };
}

for (const each of functions) {
  describe(`the app on AWS Lambda, behind ${each.name}`, () => {
    let target: Target;
    before(async () => {
      target = await startInstance(each);
    });
    requests(() => target);

    it('has a registry of its own in each instance', async () => {
      await call(target, 'Replace', { name: 'instance/one', data: 'x' });
      const other = await startInstance(each);
      assert.equal((await call(other, 'Get', { name: 'instance/one' })).status, 404);
    });
  });
}
