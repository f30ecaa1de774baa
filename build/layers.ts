/** Folders of `src/` and single files that a folder's files may import besides their own folder. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  config: ['protocol'],
  runtime: ['protocol'],
  store: ['protocol', 'config'],
  // The registry that a module is given, as a script is, is the client's, over calls of another kind.
  modules: ['protocol', 'store/store.ts', 'client/registry/registry.ts'],
  // Of the configuration, what reads and checks it without a file.
  api: [
    'protocol',
    'store/store.ts',
    'modules',
    'client/registry/registry.ts',
    'config/given.ts',
    'config/layers.ts',
    'config/schema.ts',
    'config/access-key.ts',
  ],
  // The script of the status page: it runs in browsers, and reaches `api` as a text.
  page: [],
  client: ['protocol', 'runtime', 'config/user-root.ts'],
  extensions: ['protocol', 'modules', 'runtime', 'client/registry/registry.ts'],
  broker: ['protocol', 'config', 'runtime', 'store', 'modules', 'api', 'extensions'],
  'os-service': ['protocol', 'config'],
  cli: [
    'protocol',
    'config',
    'runtime',
    'store',
    'modules',
    'api',
    'extensions',
    'broker',
    'client',
    'os-service',
    'index.ts',
  ],
  'index.ts': ['protocol', 'config', 'runtime', 'store', 'modules', 'api', 'extensions', 'broker', 'client'],
};

/**
 * Runs wherever Hono does, with all that it imports: these name no built-in module of a runtime but `node:crypto`, and nothing
 * of `runtime/`.
 */
export const portable: readonly string[] = [
  'src/protocol/',
  'src/store/store.ts',
  'src/store/index.ts',
  'src/store/memory/',
  'src/store/etcd/',
  'src/modules/',
  'src/api/',
];

/** Built-in modules that portable files may import. */
export const portableModules: readonly string[] = ['node:crypto'];

/** Where the files that may name a runtime live. */
export const runtimeFolder = 'src/runtime/';

/**
 * What must not load together with a file: its static imports, theirs, and so on; `import()` is the way around.
 * The server half, and what is slow to load, must stay out of a client command's start.
 */
export const unloaded: readonly { readonly from: string; readonly never: readonly string[] }[] = [
  'bpclient',
  'bpbroker',
  'executable',
].map((entry) => ({
  from: `src/cli/${entry}.ts`,
  never: [
    'src/broker/',
    'src/api/',
    'src/extensions/',
    'src/store/',
    'src/modules/',
    'consola',
    'hono',
    '@hono/',
    'node:https',
    // A broker that is named by a URL.
    'src/cli/session/site.ts',
    'src/client/connect-url.ts',
    'src/client/connection/site-line.ts',
    'src/runtime/tls/authorities.ts',
    'src/runtime/tls/site-channel.ts',
  ],
}));

/** `#runtime` leads to these; loading is judged for the executables' one, which comes first. */
export const runtimeFiles: readonly string[] = [
  'src/runtime/bun.ts',
  'src/runtime/node.ts',
  'src/runtime/deno.ts',
];

export const maxLines = 350;

/** Files that may be longer, with the reason. */
export const longFiles: Readonly<Record<string, string>> = {};
