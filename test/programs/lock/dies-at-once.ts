import { existsSync } from 'node:fs';
import { startWithWatchdog } from '../../../src/cli/lock/watchdog.ts';

/**
 * Starts a command and is killed as soon as the command has begun, without a turn of its event loop between. Its argument is a file
 * that the command makes.
 */
const [, , file = ''] = process.argv;
const LIMIT_MS = 10_000;

const script = `: >"$0"; while :; do sleep 0.1; done`;
await startWithWatchdog(['sh', '-c', script, file], { env: {}, isForeground: false });
const began = performance.now();
// What is written by now is all that will be.
while (!existsSync(file) && performance.now() - began < LIMIT_MS);
process.kill(process.pid, 'SIGKILL');
