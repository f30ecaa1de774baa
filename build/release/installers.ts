import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../root.ts';
import type { SigningKey } from './sign.ts';

/** The installers beside the archives, with the places for the public key in them. */
export const installers: Readonly<
  Record<string, (key: SigningKey) => readonly (readonly [string, string])[]>
> = {
  'install.sh': ({ openssl, ssh }) => [
    ['\nkey_openssl=\n', `\nkey_openssl=${openssl}\n`],
    ['\nkey_ssh=\n', `\nkey_ssh=${ssh}\n`],
  ],
  'install.ps1': ({ ssh }) => [[`\n  $signingKey = ''\n`, `\n  $signingKey = '${ssh}'\n`]],
};

/**
 * Writes the installers into a folder. With a key, they accept only releases that it has signed.
 * @throws Error when an installer has no place for the key, or several.
 */
export function writeInstallers(out: string, key?: SigningKey): void {
  for (const [name, places] of Object.entries(installers)) {
    let text = readFileSync(path.join(root, 'build', 'install', name), 'utf8');
    for (const [place, filled] of key ? places(key) : []) {
      if (text.split(place).length !== 2)
        throw new Error(`build/install/${name} must have the line ${JSON.stringify(place.trim())} once`);
      text = text.replace(place, () => filled);
    }
    writeFileSync(path.join(out, name), text);
  }
}
