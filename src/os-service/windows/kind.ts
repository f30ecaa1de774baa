import { win32 as path } from 'node:path';
import type { Home } from '../../config/paths.ts';
import type { ServiceRecord } from '../record.ts';
import type { ServiceSpec } from '../service.ts';
import type { Step } from '../step.ts';

/** One way to have Windows run the broker. */
export interface WindowsKind {
  readonly name: string;
  /** Whether this machine has what it needs. */
  available(): Promise<boolean>;
  /** The record of a service that was installed in this way. */
  installed(): Promise<ServiceRecord | undefined>;
  /** Writes the files that define the service. */
  define(spec: ServiceSpec): Promise<readonly Step[]>;
  /** Makes Windows know of it, and starts it, or starts it anew after a change. */
  activate(spec: ServiceSpec): readonly Step[];
  uninstall(record: ServiceRecord): readonly Step[];
}

/** A file of the service's own, in the broker's tree. */
export function serviceFile(root: string, name: string): string {
  return path.join(root, 'bin', name);
}

export function logFolder(root: string): string {
  return path.join(root, 'log');
}

export function logFile({ root }: Pick<Home, 'root'>): string {
  return path.join(logFolder(root), 'bpbroker.log');
}

/**
 * Words as one command line, which programs on Windows take apart themselves: backslashes count only before a quote. All are
 * quoted, since a batch file takes `&`, `^`, `|` and parentheses for its own outside of quotes.
 */
export function windowsCommandLine(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

function quote(word: string): string {
  return `"${word.replaceAll(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
}
