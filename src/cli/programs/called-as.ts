/**
 * Which program an executable is that holds both, by the name it is called with, such as `/usr/bin/bpclient`, `-bpclient`
 * (a login shell) or, on Windows, `BPCLIENT.EXE`: the client by its own name, the broker, which has all commands, by any other.
 */
export function calledAs(
  name: string,
  platform: NodeJS.Platform = process.platform,
): 'bpbroker' | 'bpclient' {
  const isClient =
    platform === 'win32' ? /(?:^|[\\/:])bpclient(?:\.exe)?$/i.test(name) : /(?:^-?|\/)bpclient$/.test(name);
  return isClient ? 'bpclient' : 'bpbroker';
}
