import path from 'node:path';
import { emittedFile, ensureNode20, findHostNode } from './node20.ts';
import { root, tool } from '../root.ts';
import { listFiles } from '../stamp.ts';

/** One run of test files on one runtime. */
export interface Pass {
  readonly name: 'node24' | 'bun' | 'deno' | 'node20';
  /** The test files and folders of the pass. */
  readonly suites: readonly string[];
  /** Prepares the pass. A string is the reason why it cannot run here. */
  prepare?(): Promise<string | undefined>;
  /** The command that runs `files` and writes a JUnit report to `report`. */
  command(files: readonly string[], report: string): readonly string[];
}

/** The suites for every runtime: they test what must be the same on all of them. */
const everyRuntime = [
  'test/api/access-keys.test.ts',
  'test/api/fetch.test.ts',
  'test/api/metrics',
  'test/api/openapi/openapi.test.ts',
  'test/api/safety.test.ts',
  'test/broker/health/health.test.ts',
  'test/broker/listeners.test.ts',
  'test/broker/metrics/metrics.test.ts',
  'test/broker/self-signed.test.ts',
  'test/client/bounds.test.ts',
  'test/client/close.test.ts',
  'test/client/discover.test.ts',
  'test/client/finder-busy.test.ts',
  'test/client/finder.test.ts',
  'test/client/keyed-finder.test.ts',
  'test/client/lock.test.ts',
  'test/client/url.test.ts',
  'test/config',
  'test/modules/services-queue.test.ts',
  'test/protocol',
  'test/runtime',
  'test/store/file/backup.test.ts',
  'test/store/etcd/etcd-several-stores.test.ts',
  'test/store/etcd/etcd-lost.test.ts',
  'test/store/etcd/etcd-once.test.ts',
  'test/store/etcd/etcd-secure.test.ts',
  'test/store/etcd/etcd.test.ts',
  'test/store/file/file.test.ts',
  'test/store/memory/memory.test.ts',
  'test/api/app.test.ts',
  'test/store/memory/quota.test.ts',
];

/** @param atATime how many files run at the same time. */
function nodeFlags(atATime: number): string[] {
  return ['--test', `--test-concurrency=${atATime}`, '--test-timeout=300000'];
}

function nodeReporters(report: string): string[] {
  return [
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=junit',
    `--test-reporter-destination=${report}`,
  ];
}

export const passes: readonly Pass[] = [
  {
    name: 'node24',
    suites: ['test'],
    command: (files, report) => [
      tool('node'),
      // On two cores: half of the time of a file is waiting.
      ...nodeFlags(4),
      ...nodeReporters(report),
      ...files,
    ],
  },
  {
    name: 'bun',
    suites: everyRuntime,
    command: (files, report) => [
      tool('bun'),
      'test',
      '--timeout=60000',
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      // Without `./`, Bun reads a name as a pattern.
      ...files.map((file) => `./${file}`),
    ],
  },
  {
    name: 'deno',
    suites: everyRuntime,
    command: (files, report) => [
      tool('deno'),
      'test',
      '-A',
      '--no-check',
      '--no-lock',
      `--junit-path=${report}`,
      ...files,
    ],
  },
  {
    name: 'node20',
    suites: everyRuntime,
    async prepare() {
      const host = findHostNode();
      if (!host?.version.startsWith('20.')) {
        return `this machine's own Node is ${host ? host.version : 'missing'}, not 20`;
      }
      await ensureNode20();
      return undefined;
    },
    command: (files, report) => {
      const node = findHostNode()?.file ?? 'node';
      return [
        node,
        '--enable-source-maps',
        // The passes of Bun and Deno run beside it: `build/test.ts`.
        ...nodeFlags(1),
        ...nodeReporters(report),
        ...files.map(emittedFile),
      ];
    },
  },
];

/**
 * The test files of a pass, relative to the project. With `only`, those of them at or below one of these.
 * @throws Error when one of its suites does not exist: a renamed file must not make a pass empty.
 */
export function filesOf(pass: Pass, only: readonly string[] = []): string[] {
  const files = pass.suites.flatMap((suite) => {
    const found = listFiles(path.join(root, suite)).filter((file) => file.endsWith('.test.ts'));
    if (found.length === 0)
      throw new Error(`${pass.name}: no test file at ${suite}; build/test/passes.ts lists it`);
    return found.map((file) => path.relative(root, file).replaceAll(path.sep, '/'));
  });
  const wanted = only.map((at) => path.posix.normalize(at).replace(/\/$/, ''));
  return files.filter(
    (file) => wanted.length === 0 || wanted.some((at) => file === at || file.startsWith(`${at}/`)),
  );
}
