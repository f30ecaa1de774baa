import { DEFAULT_PORT, formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';

/** What is examined, and how to write commands for it. */
export interface Subject {
  /** The program that was called; advised commands begin with it. */
  readonly program: string;
  /** The entry that is searched for. */
  readonly name: string | undefined;
  /** UDP port that is asked. */
  readonly port: number;
  readonly key: string | undefined;
  /**
   * Options that advised commands repeat: files of keys, interfaces, an identity. Variables of the
   * environment need no repetition.
   */
  readonly repeated: Repeated;
}

export interface Repeated {
  readonly discoverKeyFile: string | undefined;
  readonly accessKeyFile: string | undefined;
  readonly ca: string | undefined;
  readonly fingerprint: string | undefined;
  readonly interfaces: readonly string[];
}

/** An address as options take it: without the port if it is the usual one. */
export function addressText({ host, port }: HostPort): string {
  return port === DEFAULT_PORT ? host : formatAddress({ host, port });
}

/** A command line of the program: the options that name the broker, the command, and its own options. */
export function commandLine(
  { program, name, port, repeated }: Subject,
  command: 'discover' | 'doctor' | 'ping' | 'service list' | 'service get',
  {
    broker,
    target,
    isNamed = true,
  }: { broker?: HostPort | string; target?: HostPort; isNamed?: boolean } = {},
): string {
  const takesName = command !== 'ping' && command !== 'service list';
  return [
    program,
    command,
    ...(takesName && isNamed && name !== undefined ? ['--name', shellWord(name)] : []),
    ...(broker ? ['--bpbroker', typeof broker === 'string' ? shellWord(broker) : addressText(broker)] : []),
    ...(target ? ['--target', addressText(target)] : []),
    // A target has its own port: with --port, a target without one would be asked at that port.
    ...(!broker && !target && port !== DEFAULT_PORT ? ['--port', String(port)] : []),
    ...(broker ? [] : repeated.interfaces.flatMap((one) => ['--interface', shellWord(one)])),
    ...option('--ca', repeated.ca),
    ...option('--discover-key-file', repeated.discoverKeyFile),
    ...(command === 'discover' ? [] : option('--fingerprint', repeated.fingerprint)),
    ...(takesKey(command) ? option('--access-key-file', repeated.accessKeyFile) : []),
  ].join(' ');
}

function takesKey(command: string): boolean {
  return command === 'doctor' || command.startsWith('service');
}

function option(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, shellWord(value)];
}

/** How a sentence refers to the entry's broker. */
export function brokerOf({ name }: Subject): string {
  return name === undefined ? 'a broker' : `a broker that holds '${name}'`;
}
