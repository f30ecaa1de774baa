import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Runs a program of the npm package that was built in this clone. A file that `npx` links in a clone must
 * exist before the build. npm links files once, and keeps a package without programs in its cache for good.
 * @param {'bpbroker' | 'bpclient'} name
 */
export async function runBuilt(name) {
  const program = new URL(`../../dist/npm/cli/${name}.js`, import.meta.url);
  if (!existsSync(program)) {
    const clone = fileURLToPath(new URL('../..', import.meta.url));
    process.stderr.write(
      `Fatal error: ${name} has not been built in ${clone}: run 'npm run build:npm' there (npm start does so too)\n`,
    );
    process.exit(1);
  }
  // The arguments look like a direct start: a service that is installed this way runs the program.
  process.argv[1] = fileURLToPath(program);
  await import(program.href);
}
