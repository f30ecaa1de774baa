import { brokerRoot } from './programs/broker-root.ts';
import { calledAs } from './programs/called-as.ts';
import { clientRoot } from './programs/client-root.ts';
import { main } from './main.ts';

/*
 * The executable that is both programs. It loads only the tables of their commands; each command loads
 * itself. A broker starts its own file as the host of an extension, whatever the name of that file is.
 */
const words = process.argv.slice(2);
const program = words[0] === 'extension-host' ? 'bpbroker' : calledAs(process.argv0);
await main(program, program === 'bpclient' ? clientRoot : brokerRoot, words);
