import { runBuilt } from './run-built.js';

/*
 * `npm start`. npm hands a signal on to the shell that it runs a script by, and a shell such as Debian's ends of it and tells nobody: the
 * broker would go on without npm. (`exec` would help where the shell is one of Unix, and cmd has none.) So a broker whose shell has gone
 * ends as if it had got the signal itself. Windows has no such signals.
 */
if (process.platform !== 'win32') {
  const shell = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 100);
  timer.unref();
  // A terminal or a service manager sends its signal to the broker too: a second one would cut off a broker that starts.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      clearInterval(timer);
      // So early that the broker does not handle it yet: the signal ends this program as it would without us.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
}

process.argv.splice(2, 0, 'start');
await runBuilt('bpbroker');
