/**
 * Which of its two programs an executable runs as. The name it is called with decides, such as
 * `/usr/bin/bpclient`, `-bpclient` (a login shell) or, on Windows, `BPCLIENT.EXE`. Under any name but the
 * client's, it is the broker, which has all commands.
 */
export function calledAs(
  name: string,
  platform: NodeJS.Platform = process.platform,
): 'bpbroker' | 'bpclient' {
  const isClient =
    platform === 'win32' ? /(?:^|[\\/:])bpclient(?:\.exe)?$/i.test(name) : /(?:^-?|\/)bpclient$/.test(name);
  return isClient ? 'bpclient' : 'bpbroker';
}
