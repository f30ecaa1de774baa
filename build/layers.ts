/** The folders of `src/` and single files that the files of a folder may import, besides their own folder. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  config: ['protocol'],
  runtime: ['protocol'],
  store: ['protocol', 'config'],
  // A module and a script receive the client's registry, over calls of another kind.
  modules: ['protocol', 'store/store.ts', 'client/registry/registry.ts'],
  // The parts of the configuration that read and check it without a file.
  api: [
    'protocol',
    'store/store.ts',
    'modules',
    'client/registry/registry.ts',
    'config/program-config.ts',
    'config/layers.ts',
    'config/schema.ts',
    'config/access-key.ts',
  ],
  // The script of the status page. It runs in browsers, and `api` imports it as a text.
  page: [],
  client: ['protocol', 'runtime', 'config/user-root.ts'],
  extensions: [
    'protocol',
    'modules',
    'runtime',
    'client/registry/registry.ts',
    'config/folder.ts',
    'config/schema.ts',
  ],
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
 * These files run wherever Hono does, with all that they import. They import no built-in module of a runtime
 * but `node:crypto`, and nothing of `runtime/`.
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

/** The only folder whose files may name a runtime. */
export const runtimeFolder = 'src/runtime/';

/**
 * Modules that must not load together with a file, through its static imports, directly or indirectly;
 * `import()` is allowed. The server half, and code that is slow to load, must stay out of a client command's
 * start.
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
    // Code for a broker that is named by a URL.
    'src/cli/session/url-broker.ts',
    'src/client/connect-url.ts',
    'src/client/connection/url-connection.ts',
    'src/runtime/tls/authorities.ts',
    'src/runtime/tls/host-channel.ts',
  ],
}));

/** `#runtime` leads to these. Loading is checked for the one of the executables, which comes first. */
export const runtimeFiles: readonly string[] = [
  'src/runtime/bun.ts',
  'src/runtime/node.ts',
  'src/runtime/deno.ts',
];

export const maxLines = 350;

/** Files that may be longer, with the reason. */
export const longFiles: Readonly<Record<string, string>> = {};

/** The most source files in one folder; files of subfolders do not count. */
export const maxFiles = 15;

/** Folders that may hold more, with the reason. */
export const fullFolders: Readonly<Record<string, string>> = {
  'src/cli/commands': 'a file for each command, under its name',
  'test/docs': 'a file for each page, or for each rule of all pages',
};
