/**
 * Writes to the registry in a folder, one write after another, while a tracer makes system calls fail; tells what came
 * of each as a line of JSON. Arguments: folder, how many writes, after how many of them the file is to be rewritten, and how
 * many bytes each write has besides.
 */
import { openIn, put } from './support.ts';

const [dir = '', writes = '10', rewriteAfter = '0', bytes = '0'] = process.argv.slice(2);
const pad = 'x'.repeat(Number(bytes));
const say = (fact: object): unknown => process.stdout.write(`${JSON.stringify(fact)}\n`);
const codeOf = (error: unknown): unknown => (error as { code?: string }).code ?? String(error);

try {
  const store = await openIn(dir);
  say({ opened: true });
  for (let n = 1; n <= Number(writes); n++) {
    if (n === Number(rewriteAfter))
      await store.rewrite().catch((error: unknown) => say({ rewrite: codeOf(error) }));
    const outcome = await store.mutate(`n${n}`, put({ n, pad })).then(() => 'ok', codeOf);
    say({
      n,
      outcome,
      reads: (await store.get('n1'))?.data['n'],
      shown: (await store.get(`n${n}`)) !== undefined,
    });
  }
  say({ health: store.health() });
} catch (error) {
  say({ opened: false, code: codeOf(error) });
}
process.exit(0);
