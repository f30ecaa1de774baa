import { checkWay } from './fleet/server.ts';
import { compareEntries } from './scale/entries.ts';
import { compareWrites } from './scale/writes.ts';
import { lacking } from '../support/programs/tools.ts';

/**
 * `npm run bench:scale [-- executable|bun|node]`: what docs/scale.md is sized by. Writes a second at 64
 * connections, and the cost of entries in memory and at a start. Measured are one broker with its file, one
 * and three over three members of etcd, and the bare members. Everything is on this machine, over TLS, on its
 * disk. Needs Linux, `wrk`, `h2load`, `etcd`, and `npm run build`.
 */

const how = process.argv[2] ?? 'executable';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

checkWay(how);
const missing = lacking('wrk', 'h2load', 'etcd');
if (missing !== false)
  throw new Error(`The benchmark ${missing} (Debian: apt-get install wrk nghttp2-client etcd-server)`);
say(`${how}; memory and CPU of brokers and of etcd are those of all of them together\n`);
const failed = await compareWrites(how, say);
await compareEntries(how, say);
if (failed > 0) throw new Error(`${failed} requests failed`);
