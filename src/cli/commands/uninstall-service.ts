import path from 'node:path';
import { uninstallService } from '../../os-service/install.ts';
import { thisSystem } from '../../os-service/system.ts';
import type { Run } from '../command.ts';
import { tellSteps } from '../output/service-steps.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const dryRun = args.flag('dry-run');
  const config = args.text('config');
  const removal = await uninstallService(thisSystem(), {
    ...(config !== undefined && { config: path.resolve(config), configLabel: args.label('config') }),
    dryRun,
    tell: tellSteps(dryRun),
  });
  if (!removal) {
    writeOut('No service bpbroker is installed; nothing to do\n');
    return;
  }
  if (dryRun) return;
  writeOut('The service bpbroker is stopped and removed\n');
  for (const place of removal.left) writeError(`Left as it is: ${place}\n`);
};
