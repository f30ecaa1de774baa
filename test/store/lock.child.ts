/**
 * Contends for the lock of a file: prints `won` or `lost MESSAGE`. A winner stays until it is killed, unless told a
 * time: then it logs that it entered and left, releases and ends. Arguments: file, log file, time in ms.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLock } from '../../src/store/file/lock.ts';

const [file = '', log = '', stayMs] = process.argv.slice(2);
// With a time to stay, a contender tries until it has won once.
for (;;) {
  try {
    const lock = await acquireLock(file);
    process.stdout.write('won\n');
    if (stayMs === undefined) await sleep(600_000);
    appendFileSync(log, `enter ${process.pid}\n`);
    await sleep(Number(stayMs));
    appendFileSync(log, `leave ${process.pid}\n`);
    await lock.release();
    break;
  } catch (error) {
    if (stayMs === undefined) {
      process.stdout.write(`lost ${(error as Error).message}\n`);
      break;
    }
    await sleep(2);
  }
}
