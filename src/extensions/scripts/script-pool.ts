import type { Reply } from '../../modules/module.ts';
import type { HostCall, ScriptHost } from './script-host.ts';

/** The warm hosts of one script. The number of calls at a time is limited before a call gets here. */
export interface ScriptPool {
  call(call: HostCall): { readonly reply: Promise<Reply>; readonly done: Promise<void> };
  /**
   * Ends its hosts: with `now` those at work too, else each when its call has ended. Resolves when those that
   * are to end at once have ended.
   */
  close(now: boolean): Promise<void>;
}

/** How long a host beyond the first is kept without work, in milliseconds. */
const IDLE_MS = 60_000;

export function createScriptPool(start: () => ScriptHost): ScriptPool {
  const idle: ScriptHost[] = [];
  const busy = new Set<ScriptHost>();
  const timers = new Map<ScriptHost, NodeJS.Timeout>();
  const ending = new Set<Promise<void>>();
  let open = true;

  const end = (host: ScriptHost): void => {
    const ended = host.stop().finally(() => ending.delete(ended));
    ending.add(ended);
  };

  const take = (): ScriptHost => {
    for (let host = idle.pop(); host; host = idle.pop()) {
      clearTimeout(timers.get(host));
      timers.delete(host);
      if (host.alive) return host;
    }
    return start();
  };

  const giveBack = (host: ScriptHost): void => {
    busy.delete(host);
    if (!host.alive) return;
    if (!open) return end(host);
    idle.push(host);
    timers.set(host, setTimeout(() => endIfSpare(host), IDLE_MS).unref());
  };

  const endIfSpare = (host: ScriptHost): void => {
    const at = idle.indexOf(host);
    if (at === -1 || idle.length + busy.size === 1) return;
    idle.splice(at, 1);
    timers.delete(host);
    end(host);
  };

  return {
    call(call) {
      const host = take();
      busy.add(host);
      const { reply, done } = host.call(call);
      return { reply, done: done.then(() => giveBack(host)) };
    },
    async close(now) {
      open = false;
      for (const timer of timers.values()) clearTimeout(timer);
      for (const host of idle.splice(0)) end(host);
      if (now) for (const host of busy) end(host);
      await Promise.all(ending);
    },
  };
}
