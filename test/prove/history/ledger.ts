/** Writers that keep a ledger of what was acknowledged, refused, or left without a word. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../support/network/http-fuzz.ts';
import type { Answer, Broker, State } from '../broker.ts';

export interface Ledger {
  acknowledged: number;
  /** Answered with an error, by its code. */
  readonly refused: Map<string, number>;
  /** By name: the number last acknowledged, and those sent after it whose outcome is not known. */
  readonly names: Map<string, { acked: number; open: Set<number> }>;
  /** When the last acknowledgement came, by `performance.now()`. */
  lastAt: number;
  /** Answers that break a rule by themselves. */
  readonly broken: string[];
}

export function newLedger(): Ledger {
  return { acknowledged: 0, refused: new Map(), names: new Map(), lastAt: 0, broken: [] };
}

export interface Load {
  readonly writers: number;
  readonly namesEach: number;
  /** Bytes of padding in an entry, at most. */
  readonly bytes: number;
  /** Between two writes of a writer. */
  readonly pauseMs?: number;
  readonly random: Random;
}

/** Codes that say that nothing was stored. */
const definite = new Set(['storage_full', 'rate_limited', 'overloaded']);

/** Writes until told to stop, each writer to names of its own. */
export function startWriters(
  broker: Broker,
  ledger: Ledger,
  load: Load,
): { stop(): Promise<void>; halt(): void } {
  const halted = new AbortController();
  const write = async (writer: number): Promise<void> => {
    while (!halted.signal.aborted && !broker.isOver()) {
      const name = `w${writer}-${Math.floor(load.random() * load.namesEach)}`;
      const known = ledger.names.get(name) ?? { acked: 0, open: new Set() };
      ledger.names.set(name, known);
      const n = Math.max(known.acked, ...known.open) + 1;
      known.open.add(n);
      const answer = await broker.put(name, { n, pad: 'x'.repeat(Math.floor(load.random() * load.bytes)) });
      if (halted.signal.aborted) return;
      if (answer.status === 200) {
        ledger.acknowledged++;
        ledger.lastAt = performance.now();
        known.acked = n;
        for (const earlier of known.open) if (earlier <= n) known.open.delete(earlier);
      } else {
        note(ledger, known, n, answer);
        await sleep(50);
      }
      if (load.pauseMs !== undefined) await sleep(load.pauseMs);
    }
  };
  const all = Promise.all(Array.from({ length: load.writers }, (_, writer) => write(writer)));
  return {
    /** From now on answers count no more: what they tell is left open. */
    halt: () => halted.abort(),
    async stop() {
      halted.abort();
      await all;
    },
  };
}

function note(ledger: Ledger, known: { open: Set<number> }, n: number, { status, body }: Answer): void {
  const code = body.code ?? (status === 0 ? 'no answer' : String(status));
  ledger.refused.set(code, (ledger.refused.get(code) ?? 0) + 1);
  if (definite.has(code)) known.open.delete(n);
  if (status !== 0 && status !== 503 && status !== 507 && status !== 429)
    ledger.broken.push(`a write was answered ${status} ${code}`);
}

/**
 * What the registry shows against the ledger; the ledger goes on from what it shows. Returns what is lost or
 * invented.
 */
export function compare(ledger: Ledger, state: State): string[] {
  const broken: string[] = [];
  for (const [name, { acked, open }] of ledger.names) {
    const shown = state[name];
    const n = shown === undefined ? 0 : (JSON.parse(shown) as [number, { n: number }])[1].n;
    if (n < acked) broken.push(`LOST: ${name}: ${acked} was acknowledged, ${n} is stored`);
    else if (n !== acked && !open.has(n))
      broken.push(`MADE UP: ${name}: ${n} is stored, ${acked} was acknowledged, open: ${[...open].join()}`);
    ledger.names.set(name, { acked: n, open: new Set() });
  }
  for (const name of Object.keys(state))
    if (!ledger.names.has(name)) broken.push(`MADE UP: ${name} was never written`);
  return broken;
}

export const refusals = (ledger: Ledger): string =>
  [...ledger.refused].map(([code, count]) => `${count} ${code}`).join(', ') || 'none refused';
