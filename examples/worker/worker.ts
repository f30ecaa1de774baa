import { createApp, defineMethod, defineModule, jsonReply } from 'bpbroker/app';
import { memoryStore } from 'bpbroker/store';
import * as v from 'valibot';

/** What `config.capnp` or `wrangler.toml` binds, and the secret. */
interface Env {
  readonly ACCESS_KEY: string;
  readonly REGISTRY: {
    getByName(name: string): { fetch(request: Request): Promise<Response> };
  };
}

/** What an object is given. */
interface State {
  readonly storage: { setAlarm(time: number): Promise<void> };
}

/** A module of your own, which clients of the registry call by name. */
const greet = defineModule({
  Hello: defineMethod({
    params: v.strictObject({ who: v.string() }),
    run: ({ who }, { clientAddress }) => jsonReply({ hello: who, at: clientAddress }),
  }),
});

/**
 * The registry, in an object of which there is one in the world: all requests meet here, so that one may wait for what another
 * brings. In the Worker itself each isolate would have a registry of its own.
 */
export class Registry {
  readonly #store = memoryStore();
  readonly #app: ReturnType<typeof createApp>;
  readonly #storage: State['storage'];
  #staying = false;

  constructor({ storage }: State, { ACCESS_KEY }: Env) {
    this.#storage = storage;
    this.#app = createApp({
      store: this.#store,
      config: { ping: {}, services: { _access_key: ACCESS_KEY }, greet: {} },
      modules: { greet },
      // Set by Cloudflare's edge, which lets no client set it. Nobody does so elsewhere: do not trust it there.
      clientAddress: (c) => c.req.header('cf-connecting-ip') ?? '',
    });
  }

  async fetch(request: Request): Promise<Response> {
    if (!this.#staying) await this.#stay();
    return await this.#app.fetch(request);
  }

  /**
   * An object that has had nothing to do for ten seconds is removed from memory, and the registry with it. So this one wakes
   * every few seconds for as long as there are entries.
   */
  async alarm(): Promise<void> {
    this.#staying = (await this.#store.count('')) > 0;
    if (this.#staying) await this.#stay();
  }

  async #stay(): Promise<void> {
    this.#staying = true;
    await this.#storage.setAlarm(Date.now() + 5000);
  }
}

export default {
  fetch: (request: Request, { REGISTRY }: Env): Promise<Response> =>
    REGISTRY.getByName('registry').fetch(request),
};
