import { runBuilt } from './run-built.js';

/*
 * `npm start`. npm passes a signal to the shell of the script. A shell such as Debian's ends without a signal to
 * the broker, which would continue without npm. `exec` in the script would help, but cmd on Windows has none. So a
 * broker whose shell has ended behaves as if it had received the signal itself. Windows has no such signals.
 */
if (process.platform !== 'win32') {
  const shell = process.ppid;
  let hasLostShell = false;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    // A signal that came with the shell's end may be read only after this: the next look is after it.
    if (!hasLostShell) {
      hasLostShell = true;
      return;
    }
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 100);
  timer.unref();
  // A terminal or a service manager signals the broker too. A second signal would cut off a broker that is starting.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      clearInterval(timer);
      // The broker does not handle signals yet: this one ends the program, as it would without this listener.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
}

process.argv.splice(2, 0, 'start');
await runBuilt('bpbroker');
