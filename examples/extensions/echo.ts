import type { ExtensionRequest } from 'bpbroker';

/** Answers what it was given, and says who gave it. */
export function Echo({ data, clientAddress }: ExtensionRequest): { from: string; data: unknown } {
  return { from: clientAddress, data };
}

/** Answers line by line, as the lines are made: `--data 5` for five of them. */
export async function* Count({ data, signal }: ExtensionRequest): AsyncGenerator<string> {
  const last = Number(data ?? 3);
  if (!Number.isInteger(last) || last < 0 || last > 1000) {
    throw Object.assign(new Error(`Cannot count to ${JSON.stringify(data)}: expected 0 to 1000`), {
      status: 400,
    });
  }
  for (let n = 1; n <= last && !signal.aborted; n++) yield `${n}\n`;
}
