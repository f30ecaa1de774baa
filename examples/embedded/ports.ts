/**
 * A broker with a module of its own, in one process: `ports.Take` hands out port numbers, each to one service of one host alone.
 *
 * Usage: node ports.ts FOLDER. FOLDER holds the broker's file. Ends with SIGINT or SIGTERM.
 */
import { BrokerError, createBroker, defineMethod, defineModule, type Logger } from 'bpbroker';
import * as v from 'valibot';

const FIRST = 8000;
const LAST = 8099;

const ports = defineModule({
  /** Gives a service its port, as text. A service that asks again from the same host gets the same one. */
  Take: defineMethod({
    params: v.strictObject({
      data: v.pipe(v.string(), v.regex(/^[\w.-]{1,100}$/, 'expected the name of a service')),
    }),
    async run({ data: service }, { registry, log, clientAddress: host, signal }) {
      for (let port = FIRST; port <= LAST; port++) {
        // The caller has gone, and would never learn of the port.
        signal.throwIfAborted();
        try {
          // One of any number of callers makes the entry; the same data again is no other's.
          await registry.register(`ports/${port}`, { service, host }, { ifSame: true });
        } catch (error) {
          if (error instanceof BrokerError && error.code === 'already_exists') continue;
          throw error;
        }
        log.info('gave a port', { port, service, host });
        return { contentType: 'text/plain', body: `${port}\n` };
      }
      throw new BrokerError('unavailable', `All ports from ${FIRST} to ${LAST} are taken`);
    },
  }),
});

const line = (message: string, fields: object = {}): void =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const log: Logger = { debug: () => undefined, info: line, warn: line, error: line };

const dir = process.argv[2];
if (dir === undefined) throw new Error('Usage: node ports.ts FOLDER');
const broker = await createBroker({ dir, modules: { ports }, config: { ports: {} }, log });
const { url, fingerprint } = await broker.listen();
process.stdout.write(`ready: ${url}, fingerprint sha256:${fingerprint}\n`);

const end = (): void => void broker.close();
process.once('SIGINT', end);
process.once('SIGTERM', end);
