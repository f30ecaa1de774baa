import { win32 as path } from 'node:path';
import type { Home } from '../../config/paths.ts';
import type { ServiceRecord } from '../record.ts';
import type { ServiceSpec } from '../service.ts';
import type { Step } from '../step.ts';

/** One way to run the broker as a service of Windows. */
export interface ServiceWrapper {
  readonly name: string;
  /** Whether this machine has what it needs. */
  available(): Promise<boolean>;
  /** The record of a service that was installed in this way. */
  installed(): Promise<ServiceRecord | undefined>;
  /** Writes the files that define the service. */
  define(spec: ServiceSpec): Promise<readonly Step[]>;
  /** Registers the service with Windows, and starts it; restarts it after a change. */
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
 * Words as one command line, which programs on Windows split themselves: backslashes count only before a
 * quote. All words are quoted, because outside of quotes a batch file interprets `&`, `^`, `|` and
 * parentheses.
 */
export function windowsCommandLine(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

function quote(word: string): string {
  return `"${word.replaceAll(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
}
