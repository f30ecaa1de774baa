import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import {
  cleanEnv,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
  startBroker,
} from '../../support/programs/programs.ts';
import { makeCertificate } from '../../support/network/certificate.ts';
import { tempDir } from '../../support/temp.ts';
import { connectTo, freePort, reference, skipOf } from '../support.ts';

const home = tempDir();
const env = cleanEnv(home);

function type(program: 'bpbroker' | 'bpclient', args: readonly string[], input = ''): Promise<RunResult> {
  return run([...reference[program], ...args], { env, cwd: home, input });
}

/** A command and what its help says. */
interface Page {
  readonly program: 'bpbroker' | 'bpclient';
  readonly path: readonly string[];
  readonly text: string;
  /** Names of the commands below it. */
  readonly commands: readonly string[];
  readonly options: readonly { readonly name: string; readonly letter?: string; readonly value?: string }[];
}

/** The help of a command and of all below it. */
async function readHelp(program: Page['program'], path: readonly string[] = []): Promise<Page[]> {
  const { code, stdout, stderr } = await type(program, [...path, '--help']);
  assert.deepEqual([code, stderr], [0, ''], path.join(' '));
  // A group within the program is listed by its commands, `service get`.
  const listed = [...section(stdout, 'COMMANDS').matchAll(/^ {2}([a-z-]+)(?: [a-z]+)? {2,}\S/gm)];
  const commands = [...new Set(listed.map(([, name = '']) => name))];
  const groups = ['OPTIONS', 'NETWORK', 'LOG', 'CONNECTION', 'OUTPUT'];
  const options = [
    ...groups
      .map((title) => section(stdout, title))
      .join('')
      .matchAll(/^ {2}(?:-(\w), )?--([a-z-]+)(?: ([A-Zs]\S+))?(?: {2,}\S.*)?$/gm),
  ].map(([, letter, name = '', value]) => ({
    name,
    ...(letter ? { letter } : {}),
    ...(value ? { value } : {}),
  }));
  const below: Page[] = [];
  // What `help` lists are the same commands again.
  for (const name of commands.filter((one) => one !== 'help'))
    below.push(...(await readHelp(program, [...path, name])));
  return [{ program, path, text: stdout, commands, options }, ...below];
}

/** With a key that is none, the command would be wrong. */
function discoverKeyFile(): string {
  const file = join(home, 'discover-key');
  writeFileSync(file, randomBytes(32).toString('hex'));
  return file;
}

function section(text: string, title: string): string {
  return new RegExp(`^${title}\\n((?: .*\\n)+)`, 'm').exec(text)?.[1] ?? '';
}

describe('help', () => {
  let pages: Page[];
  before(async () => {
    pages = [...(await readHelp('bpbroker')), ...(await readHelp('bpclient'))];
  });

  it('exists for every command, without colours in a pipe', () => {
    const paths = (wanted: Page['program']): string[] =>
      pages
        .filter(({ program, path }) => program === wanted && path[0] !== 'completion')
        .map(({ path }) => path.join(' '));
    const service = ['register', 'replace', 'update', 'renew', 'get', 'delete', 'list', 'watch'].map(
      (name) => `service ${name}`,
    );
    const client = ['ping', 'discover', 'service', ...service, 'lock', 'execute', 'doctor', 'trust'];
    const installing = ['install-extension', 'install-service', 'uninstall-service'];
    assert.deepEqual(paths('bpbroker'), [
      '',
      'start',
      'configure',
      'backup',
      'restore',
      'migrate',
      ...installing,
      'keygen',
      ...client,
    ]);
    assert.deepEqual(paths('bpclient'), ['', ...client]);
    for (const { text, program, path, options } of pages) {
      assert.ok(!text.includes('\u001b'), text);
      assert.match(text, new RegExp(`^USAGE ${[program, ...path].join(' ')}\\b`, 'm'));
      assert.ok(options.some(({ name, letter }) => name === 'help' && letter === 'h'));
    }
  });

  it('is the same for -h, and wins over what is wrong with the rest', async () => {
    for (const { program, path, text } of pages.slice(0, 8)) {
      assert.equal((await type(program, [...path, '-h'])).stdout, text);
    }
    const { code, stdout } = await type('bpbroker', ['service', 'get', '--help', '--ttl', '5s']);
    assert.deepEqual([code, stdout.includes('USAGE bpbroker service get')], [0, true]);
  });

  it('names no option that is not accepted, long or short, with = or a space', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    // As lock sets them for its command: `--if-locked` reads them.
    const lockEnv = { ...env, BPBROKER_LOCK_NAME: 'x', BPBROKER_LOCK_REVISION: '1' };
    writeFileSync(join(home, 'x.mjs'), '');
    writeFileSync(join(home, 'broken.json'), '{');
    writeFileSync(join(home, 'ca.pem'), (await makeCertificate()).cert);
    const values = new Map(
      Object.entries({
        bpbroker: nobody,
        target: nobody,
        port: '1',
        interface: 'lo',
        fingerprint: '0'.repeat(64),
        ca: 'ca.pem',
        config: 'broken.json',
        'listen-ip': '127.0.0.1',
        'listen-port': '0',
        'ssl-cert': 'ca.pem',
        'ssl-key': 'ca.pem',
        'log-format': 'json',
        'log-level': 'debug',
        format: 'json',
        timeout: '50ms',
        ttl: '5s',
        'if-revision': '1',
        'wait-count': '1',
        count: '1',
        after: '1',
        data: '{}',
        'log-file': '/dev/null',
        'data-file': '/dev/null',
        'config-file': '/dev/null',
        'access-key-file': discoverKeyFile(),
        'key-file': discoverKeyFile(),
        from: '/dev/null',
        to: 'etcd',
        endpoint: `http://${nobody}`,
        method: 'x.Y',
        script: 'x.mjs',
        'discover-key-file': discoverKeyFile(),
      }),
    );
    // With these a command ends at once, and not because of its options: nobody listens, the file is malformed.
    const base = new Set([
      'bpbroker',
      'timeout',
      'name',
      'data',
      'config',
      'interface',
      'from',
      'to',
      'method',
      'script',
    ]);
    const rivals: Record<string, string> = { 'data-file': 'data', prefix: 'name' };
    // A broker is named or looked for.
    const forSearch = new Set(['port', 'target', 'interface']);
    const isRival = (other: string, name: string, options: readonly { readonly name: string }[]): boolean => {
      if (other === 'bpbroker') return forSearch.has(name);
      const named = !forSearch.has(name) && options.some((option) => option.name === 'bpbroker');
      return other === rivals[name] || (forSearch.has(other) && named);
    };
    // What a backup is restored from is a file; what a registry is moved from is not. Silence shows after a second.
    const ofCommand: Readonly<Record<string, string>> = {
      'migrate from': 'file',
      'migrate prefix': '/x/',
      'doctor timeout': '1s',
    };
    const valueOf = (name: string, path: readonly string[] = []): string =>
      ofCommand[`${path[0]} ${name}`] ?? values.get(name) ?? 'x';
    // Authorities vouch for a broker that is named by a URL.
    const besides = (other: string, name: string, path: readonly string[]): string =>
      `${other === 'bpbroker' && name === 'ca' ? 'https://' : ''}${valueOf(other, path)}`;
    // These change the machine, or need what no other option has: they have suites of their own.
    const apart = new Set(['install-extension', 'install-service', 'uninstall-service']);
    const lines = pages
      .filter(({ program, commands }) => program === 'bpbroker' && commands.length === 0)
      .filter(({ path }) => !apart.has(path[0] ?? ''))
      .flatMap(({ path, options }) => {
        // Two options of a start are about a detached broker alone.
        const isStart = path[0] === 'start';
        const needsDetach = (name: string): boolean => isStart && ['timeout', 'log-file'].includes(name);
        const rest = options
          .map(({ name }) => name)
          .filter((name) => base.has(name) && !(isStart && name === 'timeout'));
        return options
          .filter(({ name }) => name !== 'help')
          .flatMap(({ name, letter, value }, n) => {
            const others = rest.flatMap((other) =>
              other === name || isRival(other, name, options)
                ? []
                : [`--${other}`, besides(other, name, path)],
            );
            const given = valueOf(name, path);
            const long = n % 2 === 0 ? [`--${name}`, given] : [`--${name}=${given}`];
            const ways = value ? [long] : [[`--${name}`]];
            if (letter) ways.push([`-${letter}`, given], [`-${letter}${given}`]);
            const behind = path[0] === 'lock' ? ['--', 'true'] : [];
            const detached = needsDetach(name) ? ['--detach'] : [];
            return ways.map((way) => [...way, ...path, ...others, ...detached, ...behind]);
          });
      });
    assert.ok(lines.length > 150, `${lines.length} command lines`);
    const check = async (args: readonly string[]): Promise<void> => {
      const { code, stderr } = await run([...reference.bpbroker, ...args], { env: lockEnv, cwd: home });
      assert.doesNotMatch(stderr, /option/i, args.join(' '));
      // `--config-file /dev/null` is no JSON, `trust --forget` of a broker that is not known: 1 and 3.
      assert.notEqual(code, 2, `${args.join(' ')}: ${stderr}`);
    };
    const next = lines.values();
    await Promise.all(
      [1, 2, 3, 4].map(async () => {
        for (const line of next) await check(line);
      }),
    );
  });
});

describe('usage errors', () => {
  it('no command: usage on standard error, exit code 2', async () => {
    for (const [program, path] of [
      ['bpbroker', []],
      ['bpclient', []],
      ['bpbroker', ['service']],
    ] as const) {
      const { code, stdout, stderr } = await type(program, path);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, new RegExp(`^USAGE ${[program, ...path].join(' ')} `, 'm'));
      assert.ok(!stderr.includes('\u001b'));
    }
  });

  it('name what is wrong, and the nearest that is right', async () => {
    const wrong: [string, RegExp][] = [
      ['pnig', /Unknown command 'pnig' \(did you mean 'ping'\?\)/],
      ['service regster --name x', /Unknown service command 'regster' \(did you mean 'register'\?\)/],
      ['something-else', /Unknown command 'something-else'; there are .*discover/],
      ['ping --fromat json', /Unknown option '--fromat' \(did you mean '--format'\?\)/],
      ['ping -z', /Unknown option '-z'\n/],
      ['ping more', /Unexpected argument 'more'/],
      ['ping --ttl 5s', /Command 'ping' takes no option --ttl/],
      ['ping --data', /Option --data needs a value/],
      ['ping --quiet=yes', /Option --quiet takes no value/],
      ['ping --data a --data b', /Option --data is given twice/],
      ['ping --format jsn', /Invalid --format 'jsn' \(did you mean 'json'\?\)/],
      ['ping --timeout soon', /Invalid --timeout 'soon': expected a duration such as/],
      ['ping --bpbroker host:port', /host:port/],
      ['service get', /Command 'service get' needs --name/],
      ['service list --wait-count many', /--wait-count/],
      ['service watch', /--name NAME or --prefix/],
      ['service watch --name x --prefix y', /either --name NAME or --prefix PREFIX.*, and not both/],
      ['service register --name x --data y --ttl 99ms', /Invalid --ttl '99ms': expected 100ms or more/],
      ['service register --name x --data y --ttl 4000d', /Invalid --ttl '4000d': .* at most 3650d/],
      ['start', /Unknown command 'start', which only bpbroker has; there are ping/],
    ];
    for (const [line, message] of wrong) {
      const { code, stdout, stderr } = await type('bpclient', line.split(' '));
      assert.deepEqual([code, stdout], [2, ''], `${line}: ${stderr}`);
      assert.match(stderr, /^Fatal error: [^\n]*\n$/);
      assert.match(stderr, message);
    }
  });

  it('options may come before or after the command', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    for (const args of [
      ['-b', nobody, 'service', 'get', '--name', 'x'],
      ['service', '--name=x', 'get', `-b${nobody}`],
      ['--name', 'x', 'service', 'get', '--bpbroker', nobody],
    ])
      assert.equal((await type('bpclient', args)).code, 6, args.join(' '));
  });
});

describe('what is not wanted', () => {
  let broker: RunningBroker;
  before(async () => {
    broker = await startBroker(reference);
    const client = await connectTo(broker);
    for (let n = 0; n < 40; n++) await client.register(`long/${n}`, 'x'.repeat(10_000));
    client.close();
  });

  for (const launcher of launchers) {
    it(`of the output may be left unread, on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const target = ['--bpbroker', `127.0.0.1:${broker.port}`, '--quiet', 'service', 'list'];
      for (const args of [target, ['--help']]) {
        // The status is that of our program, and not of `head`.
        const script = '{ "$@"; echo "code $?" >&2; } | head -c 1';
        const command = ['sh', '-c', script, 'sh', ...launcher.bpclient, ...args];
        const { stdout, stderr } = await run(command, { env, cwd: home });
        assert.equal(stdout.length, 1);
        assert.equal(stderr, 'code 0\n');
      }
    });
  }
});
