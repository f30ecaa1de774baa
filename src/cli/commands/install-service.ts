import { runtime } from '#runtime';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { loadConfiguration } from '../../broker/opening/configuration.ts';
import { installService, serviceHome } from '../../os-service/install.ts';
import type { OwnProgram } from '../../os-service/program.ts';
import { thisSystem } from '../../os-service/system.ts';
import { VERSION } from '../../protocol/version.ts';
import { calledAs } from '../programs/called-as.ts';
import type { Run } from '../command.ts';
import { tellSteps } from '../output/service-steps.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const system = thisSystem();
  const dryRun = args.flag('dry-run');
  const given = args.text('config');
  const config = given === undefined ? undefined : path.resolve(given);
  const user = args.text('user');
  const file = config ?? serviceHome(system.env).configFile;
  const { manager, changed, note } = await installService(system, {
    own: ownProgram(),
    ...(config !== undefined && { config, configLabel: args.label('config') }),
    ...(user !== undefined && { user }),
    firewall: args.flag('firewall'),
    async port() {
      // The service does not have the environment of the user who installs it.
      const env = { BPBROKER_HOME: system.env['BPBROKER_HOME'] };
      const { effective, globalProblem } = await loadConfiguration(file, undefined, env);
      if (globalProblem !== undefined) writeError(`${globalProblem}\n`);
      return effective.api.listen_port;
    },
    dryRun,
    tell: tellSteps(dryRun),
  });
  if (note !== undefined) writeError(`${note}\n`);
  if (!changed) {
    writeOut(`The service bpbroker is installed (${manager.name}), enabled and running; nothing to do\n`);
    return;
  }
  if (dryRun) return;
  writeOut(`The service bpbroker is installed (${manager.name}), enabled at boot and started\n`);
  writeError(`Its configuration: ${file}\nIts log: ${manager.log}\n`);
};

/** The command line of this program, for another process to repeat. */
function ownProgram(): OwnProgram {
  const script = runtime.moduleCommand(realpathOf(process.argv[1] ?? ''));
  const [given = '', ...args] = script ?? [process.execPath];
  const file = realpathOf(given);
  // A link may have started it as the broker, and the file itself may have the client's name.
  const misnamed = calledAs(file) === 'bpclient' && `${file} runs as the client, because of its name`;
  return { file, args, version: VERSION, ...(misnamed && { misnamed }) };
}

/** Within an executable, the path of our script is not in the file system. */
function realpathOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
