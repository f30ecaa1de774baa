import { runtime } from '#runtime';
import { pageOf } from '../../client/registry/answers.ts';
import { connect } from '../../client/client.ts';
import { knownBrokersFile, openKnownBrokers } from '../../client/trust/known-brokers.ts';
import { formatAddress, isUrl, parseAddress } from '../../protocol/addresses/address.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { readSecret } from '../../protocol/formats/secret.ts';
import { nameProblem } from '../../protocol/registry/names.ts';
import type { Command } from '../command.ts';
import { readKeyFile } from '../options/keys.ts';
import { optionDefinitions, type OptionName } from '../options/options.ts';
import { writeOut } from '../terminal/terminal.ts';
import { type Candidate, complete } from './candidates.ts';

/** Longest time that a TAB waits for a broker, in milliseconds. */
const PATIENCE_MS = 300;

/**
 * Prints the completions of `words`. The first line says which kind, `words` or `files`. For `words`, each
 * further line has the word, a tab and its meaning.
 */
export async function runComplete(root: Command, words: readonly string[]): Promise<void> {
  const { completion, given } = complete(root, words);
  if (completion.kind === 'files') return writeOut('files\n');
  const candidates =
    completion.kind === 'words' ? completion.candidates : await entryNames(completion.prefix, given);
  const lines = candidates.map(({ value, description = '' }) => `${value}\t${description}\n`);
  writeOut(`words\n${lines.join('')}`);
}

/**
 * Names of entries on the broker that the command line or `BPBROKER` names, if its identity is pinned or kept
 * already. The user only pressed TAB, so there is no search of the network, no first contact and no error
 * message. A slow broker has no names here.
 */
async function entryNames(prefix: string, given: ReadonlyMap<OptionName, string>): Promise<Candidate[]> {
  const deadline = new Promise<Candidate[]>((resolve) => setTimeout(resolve, PATIENCE_MS, []));
  return Promise.race([deadline, askForNames(prefix, given).catch(() => [])]);
}

async function askForNames(prefix: string, given: ReadonlyMap<OptionName, string>): Promise<Candidate[]> {
  const text = (name: OptionName): string | undefined =>
    given.get(name) ?? (runtime.environment[optionDefinitions[name].env ?? ''] || undefined);
  const broker = text('bpbroker');
  if (broker === undefined) return [];
  const fingerprint = text('fingerprint');
  const keyFile = text('access-key-file');
  const key = text('access-key');
  const ownKey = key === undefined ? undefined : readSecret(key, 'The access key');
  const accessKey = keyFile === undefined ? ownKey : readKeyFile(keyFile, '--access-key-file');
  const client = await connect({
    broker,
    accessKey,
    fingerprint,
    timeoutMs: PATIENCE_MS,
    ...(isUrl(broker) ? { ca: await authorities(text('ca')) } : requireKnown(broker, fingerprint)),
  });
  // The most that a person may look through.
  const { entries } = pageOf(await client.call('services', 'List', { prefix, limit: 100 }));
  // A shell shows them on a terminal.
  return entries.filter(({ name }) => nameProblem(name) === undefined).map(({ name }) => ({ value: name }));
}

/** Throws for a broker that this user has not met yet. */
function requireKnown(broker: string, fingerprint: string | undefined): object {
  const place = formatAddress(parseAddress(broker, '--bpbroker'));
  if (fingerprint === undefined && openKnownBrokers(knownBrokersFile()).get(place) === undefined)
    throw new BrokerError('identity_mismatch', `The broker at ${place} has not been met yet`);
  return {};
}

async function authorities(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined) return undefined;
  const { readAuthorities } = await import('../../runtime/tls/authorities.ts');
  return readAuthorities(file, '--ca');
}
