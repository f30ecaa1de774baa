/** Folders of `src/` and single files that a folder's files may import besides their own folder. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  config: ['protocol'],
  runtime: ['protocol'],
  store: ['protocol', 'config'],
  modules: ['protocol', 'store/store.ts', 'runtime'],
  client: ['protocol', 'runtime', 'config/user-root.ts'],
  'extension-host': ['protocol', 'runtime', 'client/registry.ts'],
  broker: ['protocol', 'config', 'runtime', 'store', 'modules', 'extension-host'],
  'os-service': ['protocol', 'config'],
  cli: [
    'protocol',
    'config',
    'runtime',
    'store',
    'modules',
    'broker',
    'client',
    'extension-host',
    'os-service',
    'index.ts',
  ],
  'index.ts': ['protocol', 'config', 'runtime', 'store', 'modules', 'broker', 'client', 'extension-host'],
};

/** Modules that do I/O: not for a folder that is pure. */
export const ioModules: readonly string[] = [
  'child_process',
  'cluster',
  'dgram',
  'dns',
  'fs',
  'http',
  'http2',
  'https',
  'net',
  'readline',
  'repl',
  'sqlite',
  'tls',
  'worker_threads',
];
export const pureFolders: readonly string[] = ['protocol'];

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
  never: ['src/broker/', 'src/store/', 'src/modules/', 'consola', 'hono', '@hono/', 'node:https'],
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
