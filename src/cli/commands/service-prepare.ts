import { ownerOf } from '../../os-service/linux/account.ts';
import { prepareData } from '../../os-service/files/data-files.ts';
import { serviceHome } from '../../os-service/install.ts';
import { thisSystem } from '../../os-service/system.ts';
import type { Run } from '../command.ts';

/** What a service on Linux runs as root before it starts the broker as the broker's user. */
export const run: Run = async (args) => {
  const system = thisSystem();
  const owner = await ownerOf(system, args.required('user'));
  await prepareData(serviceHome(system.env), args.text('config'), owner);
};
