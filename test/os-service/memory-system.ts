import type { CommandResult, System } from '../../src/os-service/system.ts';

/** A machine in memory: files with their texts, and commands that are recorded. */
export interface MemorySystem extends System {
  readonly files: Map<string, string>;
  readonly folders: Set<string>;
  /** Links that belong to root, by their paths: where they lead. */
  readonly links: Map<string, string>;
  /** Every command that was run to change something, in order. */
  readonly commands: (readonly string[])[];
}

export interface MemoryOptions {
  readonly platform: NodeJS.Platform;
  readonly env?: Readonly<Record<string, string>>;
  /** Programs on the PATH. */
  readonly programs?: readonly string[];
  /** What a command answers; nothing for one that does nothing and succeeds. Questions are not recorded. */
  answer(command: readonly string[]): (Partial<CommandResult> & { question?: boolean }) | undefined;
}

export function memorySystem({ platform, env = {}, programs = [], answer }: MemoryOptions): MemorySystem {
  const files = new Map<string, string>();
  const folders = new Set<string>();
  const links = new Map<string, string>();
  const commands: (readonly string[])[] = [];
  const root = { mode: 0o755, uid: 0 };
  return {
    platform,
    env,
    isRoot: platform === 'win32' ? undefined : true,
    files,
    folders,
    links,
    commands,
    async run(command) {
      const { question = false, ...result } = answer(command) ?? {};
      if (!question) commands.push(command);
      return { code: 0, stdout: '', stderr: '', ...result };
    },
    findProgram: async (name) => (programs.includes(name) ? `${name}-found` : undefined),
    async stat(file) {
      if (links.has(file)) return { ...root, kind: 'other' };
      if (files.has(file)) return { ...root, kind: 'file' };
      return folders.has(file) || file === '/' ? { ...root, kind: 'folder' } : undefined;
    },
    readLink: async (file) => links.get(file),
    readText: async (file) => files.get(file),
    sameContent: async (one, other) => files.has(one) && files.get(one) === files.get(other),
    async writeText(file, text) {
      files.set(file, text);
    },
    async copyProgram(from, to) {
      files.set(to, files.get(from) ?? '');
    },
    async makeFolder(dir) {
      folders.add(dir);
    },
    async remove(file) {
      files.delete(file);
    },
    isEmptyFolder: async (dir) => folders.has(dir) && ![...files.keys()].some((file) => file.startsWith(dir)),
    async removeFolder(dir) {
      folders.delete(dir);
    },
  };
}
