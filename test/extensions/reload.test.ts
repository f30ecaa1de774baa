import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createExtensions } from '../../src/extensions/extensions.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import type { Call } from '../../src/modules/module.ts';
import { extensionDir } from '../support/registry/extensions.ts';

const posixOnly = process.platform === 'win32' ? 'shell scripts are POSIX' : false;
const nothing = (): void => undefined;

describe('Extensions.configure()', { skip: posixOnly }, () => {
  it('holds for a call that looks its module up meanwhile, and for all after it', async () => {
    const extensions = createExtensions({
      dir: extensionDir({ 'own.sh': '#!/bin/sh\ncat\n' }),
      config: { own: { password: 'old' } },
      services: { call: () => assert.fail() },
      log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
      hostCommand: () => assert.fail(),
      grantAccess: () => ({ env: {}, revoke: nothing }),
    });
    const passwordOf = async (module: Awaited<ReturnType<typeof extensions.find>>): Promise<unknown> => {
      const reply = await module?.call('Any', call);
      assert.ok(reply?.body instanceof Uint8Array);
      return (JSON.parse(Buffer.from(reply.body).toString()) as { config: JsonObject }).config['password'];
    };
    const call = {
      params: {},
      clientAddress: '192.0.2.1',
      requestId: 'r',
      signal: new AbortController().signal,
      keepOpen: nothing,
    } as unknown as Call;

    const finding = extensions.find('own');
    extensions.configure({ own: { password: 'new' } });
    assert.equal(await passwordOf(await finding), 'new');
    assert.equal(await passwordOf(await extensions.find('own')), 'new');
    await extensions.close(0);
  });
});
