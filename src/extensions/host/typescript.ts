/** Says why TypeScript cannot run here: only some versions of Node cannot run it. */
export function noTypeScript(): string {
  return (
    `this broker runs on Node ${process.versions.node}, which cannot run TypeScript: ` +
    'use Node 22.18 or later, Bun, Deno or the executable, or compile it to JavaScript (.mjs)'
  );
}
