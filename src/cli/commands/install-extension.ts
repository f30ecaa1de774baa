import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { addToConfiguration } from '../../broker/configure.ts';
import { findHome } from '../../config/paths.ts';
import { installExtension, type Installed } from '../../modules/extensions/install.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { describeError } from '../../protocol/system-errors.ts';
import type { Run } from '../command.ts';
import { writeError, writeOut } from '../terminal.ts';

export const run: Run = async (args) => {
  const home = findHome();
  const given = args.text('config');
  const file = given === undefined ? home.configFile : path.resolve(given);
  const installed = await installExtension(home.lib, args.required('script'), args.flag('force'));
  writeOut(`installed ${installed.path}\n`);
  if (args.flag('enable')) return enable(file, installed);
  writeError(`To enable it, put this into ${file} while no broker runs on it, or let configure do so:\n`);
  for (const module of installed.modules) {
    writeOut(`"${module}": {"_access_key": "${newKey()}"}\n`);
  }
};

async function enable(file: string, { modules, path: place }: Installed): Promise<void> {
  const keys = new Map(modules.map((module) => [module, newKey()]));
  const addition = Object.fromEntries([...keys].map(([module, key]) => [module, { _access_key: key }]));
  try {
    const { added, kept } = await addToConfiguration(file, addition);
    for (const [module, key] of keys) {
      const isNew = added.includes(module) || added.includes(`${module}._access_key`);
      if (isNew) writeOut(`enabled ${module}, access key ${key}\n`);
      else if (kept.includes(`${module}._access_key`))
        writeError(`${module} is enabled already; its access key stands\n`);
    }
  } catch (error) {
    const reason = `${place} is in place, but not enabled: ${describeError(error)}`;
    throw new BrokerError(error instanceof BrokerError ? error.code : 'internal', reason, { cause: error });
  }
}

function newKey(): string {
  return randomBytes(32).toString('hex');
}
