/** What befalls members and brokers. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/**
 * - `unplugged`: the host's interface is down.
 * - `silent`: nothing comes and goes, and nobody notices.
 * - `deaf`: it can be heard, and hears nothing: what it asks for is done, and the answers are lost.
 * - `mute`: it hears, and cannot be heard.
 */
export type Cut = 'unplugged' | 'silent' | 'deaf' | 'mute';

export const cuts: readonly Cut[] = ['unplugged', 'silent', 'deaf', 'mute'];

/** Cuts a host's interface off; returns what joins it again. */
export async function cutOff(namespace: string, device: string, cut: Cut): Promise<() => Promise<void>> {
  if (cut === 'unplugged') {
    await execute('ip', ['-n', namespace, 'link', 'set', device, 'down']);
    return async () => void (await execute('ip', ['-n', namespace, 'link', 'set', device, 'up']));
  }
  const nft = async (script: string): Promise<void> =>
    void (await execute('ip', ['netns', 'exec', namespace, 'nft', script]));
  const chain = (hook: string, match: string): string =>
    `chain ${hook} { type filter hook ${hook} priority 0; ${match} "${device}" drop; }`;
  const chains = [
    ...(cut === 'mute' ? [] : [chain('input', 'iifname')]),
    ...(cut === 'deaf' ? [] : [chain('output', 'oifname')]),
  ];
  const table = `cut_${device}`;
  await nft(`table inet ${table} {\n${chains.join('\n')}\n}`);
  return async () => await nft(`delete table inet ${table}`);
}
