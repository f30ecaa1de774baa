import { randomBytes } from 'node:crypto';
import { loadConfiguration } from '../../broker/opening/configuration.ts';
import { addToConfiguration } from '../../broker/configure.ts';
import { whyNotRunnable } from '../../extensions/host/runnable.ts';
import { stageExtension, type StagedExtension } from '../../extensions/install.ts';
import { isObject, type JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { describeError } from '../../protocol/system-errors.ts';
import type { Run } from '../command.ts';
import { newBrokerFile } from '../options/broker-file.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const { file, home } = newBrokerFile(args);
  const staged = await stageExtension(home.lib, args.required('script'), args.flag('force'), whyNotRunnable);
  let report: () => void;
  try {
    report = await (args.flag('enable') ? enable(file, staged) : putAlone(file, staged));
  } finally {
    await staged.clean();
  }
  // Only now: a reader that closes early ends the command.
  report();
};

/**
 * Copies and enables, or does neither: the same command could not enable a copy that it left without a key.
 * Returns what prints the result.
 */
async function enable(file: string, { modules, put, path: place }: StagedExtension): Promise<() => void> {
  const keys = new Map(modules.map((module) => [module, newKey()]));
  const addition = Object.fromEntries([...keys].map(([module, key]) => [module, { _access_key: key }]));
  let takeBack: (() => Promise<void>) | undefined;
  try {
    const { added, kept, globalProblem } = await addToConfiguration(file, addition, async () => {
      takeBack = await put();
    });
    return () => {
      if (globalProblem !== undefined) writeError(`${globalProblem}\n`);
      writeOut(`installed ${place}\n`);
      for (const [module, key] of keys) {
        const isNew = added.includes(module) || added.includes(`${module}._access_key`);
        if (isNew) writeOut(`enabled ${module}, access key ${key}\n`);
        else if (kept.includes(`${module}._access_key`)) writeError(enabledAlready(module));
      }
    };
  } catch (error) {
    await takeBack?.();
    const reason = `Nothing was installed: ${describeError(error)}`;
    throw new BrokerError(error instanceof BrokerError ? error.code : 'internal', reason, { cause: error });
  }
}

/** Copies alone. Returns what prints the result. */
async function putAlone(file: string, { modules, put, path: place }: StagedExtension): Promise<() => void> {
  const configured = await optionsIn(file);
  const isEnabled = (module: string): boolean => configured[module] !== undefined;
  await put();
  return () => {
    writeOut(`installed ${place}\n`);
    for (const module of modules.filter(isEnabled)) {
      const options = configured[module];
      const hasKey = isObject(options) && options['_access_key'] !== undefined;
      writeError(hasKey ? enabledAlready(module) : `${module} is enabled already, without an access key\n`);
    }
    const others = modules.filter((module) => !isEnabled(module));
    if (others.length === 0) return;
    writeError(`To enable it, put this into ${file}, then start or reload the broker:\n`);
    for (const module of others) writeOut(`"${module}": {"_access_key": "${newKey()}"}\n`);
  };
}

/**
 * What the configuration says, as far as this user may read it. It only avoids advice that the user does not
 * need.
 */
async function optionsIn(file: string): Promise<JsonObject> {
  try {
    return (await loadConfiguration(file, undefined)).document?.options ?? {};
  } catch (error) {
    writeError(`Cannot see which modules are enabled: ${describeError(error)}\n`);
    return {};
  }
}

function enabledAlready(module: string): string {
  return `${module} is enabled already; its access key is unchanged\n`;
}

function newKey(): string {
  return randomBytes(32).toString('hex');
}
