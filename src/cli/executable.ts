import { brokerRoot } from './programs/broker-root.ts';
import { calledAs } from './programs/called-as.ts';
import { clientRoot } from './programs/client-root.ts';
import { main } from './main.ts';

/*
 * The executable that is both programs. No more is loaded here than the tables of their commands, and each command loads
 * itself. A broker starts its own file as the host of an extension, whatever that file is called.
 */
const words = process.argv.slice(2);
const program = words[0] === 'extension-host' ? 'bpbroker' : calledAs(process.argv0);
await main(program, program === 'bpclient' ? clientRoot : brokerRoot, words);
