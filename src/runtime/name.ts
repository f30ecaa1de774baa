const { node, bun, deno } = process.versions as Readonly<Record<string, string>>;

/**
 * The running runtime and its version, such as `bun 1.4.5`, for callers that do not load the runtime
 * interface.
 */
export const runtimeName: string = bun ? `bun ${bun}` : deno ? `deno ${deno}` : `node ${node}`;
