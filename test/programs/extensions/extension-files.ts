import { writeExtensions } from '../../support/registry/extensions.ts';
import { type Launcher, type RunningBroker, startBroker } from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';

/** Starts a broker with these extensions in its directory, each enabled with the options given (none: `{}`). */
export function brokerWith(
  launcher: Launcher,
  files: Readonly<Record<string, string>>,
  options: Readonly<Record<string, object>> = {},
  env: Readonly<Record<string, string>> = {},
): Promise<RunningBroker> {
  const dir = tempDir();
  writeExtensions(dir, files);
  const modules = Object.keys(files).map((file) => file.replace(/\.\w+$/, '').replaceAll('/', '.'));
  const config = { ...Object.fromEntries(modules.map((name) => [name, {}])), ...options };
  return startBroker(launcher, { dir, config, env });
}

/** In JavaScript, which every runtime runs; the same text is TypeScript too. */
export const scriptSource = `
export const Echo = ({ data, params, method, clientAddress, config }) => ({ data, params, method, clientAddress, config });
export const Text = ({ data }) => \`text of \${data}\`;
export const Nothing = () => undefined;
export const Bytes = () => Uint8Array.of(0, 255, 10);
export const Big = () => 'é'.repeat(300_000);
export async function* Slowly({ data }) {
  for (let i = 1; i <= 3; i++) {
    yield \`\${i}\\n\`;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  if (data === 'fail') throw new Error('failed at the end');
}
export const Own = () => new Response('<p>', { status: 202, headers: { 'content-type': 'text/html' } });
export const Status = () => { throw Object.assign(new Error('no such agent'), { status: 404 }); };
export const Throws = () => { throw new Error('it broke'); };
export async function Registry({ registry, log }) {
  log.info('a line for the log');
  console.log('printed by the extension');
  await registry.register('made/by-extension', { a: 1 });
  return (await registry.list('made/')).entries.map(({ name, data }) => [name, data]);
}
export async function Twice({ registry }) {
  await registry.register('taken', 'x', { ifSame: true });
  await registry.register('taken', 'y');
}
export async function Long({ registry }) {
  for (let i = 0; i < 20; i++) await registry.replace(\`long/\${i}\`, 'é'.repeat(5000));
  const { entries } = await registry.list('long/');
  return { one: (await registry.get('long/7')).data.length, all: entries.length };
}
let count = 0;
export async function Locked({ withLock, registry }) {
  return withLock('counter', async () => {
    const now = await registry.get('counter').catch(() => ({ data: '0' }));
    const next = String(Number(now.data) + 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await registry.replace('counter', next);
    return next;
  });
}
export const Which = () => \`\${process.pid} \${++count}\`;
export const _private = () => 'secret';
export const value = 7;
`;

export const pythonSource = `
import json
import bpbroker
from subprocess import call

def Echo(rh):
    rh.data = {"qs": rh.qs, "from": rh.RequestingHost(), "config": rh.config, "method": rh.method}

def Text(rh):
    rh.content_type = "text/plain; charset=utf-8"
    rh.data = "text of " + rh.qs["data"]

def Bytes(rh):
    rh.content_type = "application/octet-stream"
    rh.data = bytes([0, 255, 10])

def Big(rh):
    rh.content_type = "text/plain"
    rh.data = "\\u00e9" * 300000

def Slowly(rh):
    import time
    def parts():
        for i in range(1, 4):
            yield "%d\\n" % i
            time.sleep(0.3)
        if rh.qs.get("data") == "fail":
            raise ValueError("failed at the end")
    rh.content_type = "text/plain"
    rh.data = parts()

def Status(rh):
    rh.status = 404
    rh.status_message = "no such agent"

def Throws(rh):
    raise RuntimeError("it broke")

def Registry(rh):
    rh.log.info("a line for the log")
    print("printed by the extension")
    rh.registry.register("made/by-python", {"a": 1})
    rh.data = rh.registry.list("made/")

def Twice(rh):
    rh.registry.register("taken", "x", if_same=True)
    rh.registry.register("taken", "y")

def Long(rh):
    for i in range(20):
        rh.registry.replace("long/%d" % i, "\\u00e9" * 5000)
    rh.data = {"one": len(rh.registry.get("long/7")), "all": len(rh.registry.list("long/"))}

def Locked(rh):
    with bpbroker.config.rlock:
        with bpbroker.config.rlock:
            services = bpbroker.config.data["services"]
            now = services["counter"]["_str"] if "counter" in services else "0"
            rh.registry.replace("counter", str(int(now) + 1))
            rh.data = services["counter"]["_str"]

def _private(rh):
    rh.data = "secret"
`;

export const shellSource = `#!/bin/sh
case "$1" in
  Echo) cat ;;
  Text) printf 'text of %s' "$(sed 's/.*"data":"\\([^"]*\\)".*/\\1/')" ;;
  Bytes) printf '\\000\\377\\n' ;;
  Big) head -c 600000 /dev/zero | tr '\\0' x ;;
  Slowly) for i in 1 2 3; do echo $i; sleep 0.3; done
    if grep -q '"data":"fail"'; then echo 'failed at the end' >&2; exit 3; fi ;;
  Throws) echo 'some output'; echo 'it broke' >&2; exit 3 ;;
  Silent) exit 4 ;;
  *) echo "no method $1" >&2; exit 2 ;;
esac
`;
