import { BrokerError } from '../../protocol/errors.ts';
import type { Owner } from '../files/data-files.ts';
import type { Step, Steps } from '../step.ts';
import type { System } from '../system.ts';

/** The default user of a service on Linux. It is made if it does not exist. */
export const SERVICE_USER = 'bpbroker';

/** Marks a user as one that install-service has made. */
const COMMENT = 'bpbroker service';

/**
 * User and group id of a user.
 * @throws BrokerError `usage` when there is no such user.
 */
export async function ownerOf(system: System, user: string): Promise<Owner> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => system.run(['id', flag, '--', user])));
  if (uid?.code === 0 && gid?.code === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  throw new BrokerError('usage', `There is no user '${user}' here; make it, or leave --user out`);
}

/**
 * Makes the service's user if it does not exist.
 * @throws BrokerError `usage` when another user does not exist.
 */
export async function accountSteps(
  system: System,
  steps: Steps,
  user: string,
  home: string,
): Promise<Step[]> {
  if (user !== SERVICE_USER) {
    await ownerOf(system, user);
    return [];
  }
  const command = ['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', home];
  return [
    steps.run([...command, '--shell', '/usr/sbin/nologin', '--comment', COMMENT, user], {
      needed: async () => (await system.run(['id', '-u', '--', user])).code !== 0,
    }),
  ];
}

/**
 * Makes root the owner of the data again and removes the service's user, if install-service has made it.
 * @param folders those that may belong to the user; others are left alone.
 */
export async function removeAccountSteps(
  system: System,
  steps: Steps,
  user: string,
  folders: readonly string[],
): Promise<Step[]> {
  const line = await system.run(['getent', 'passwd', user]);
  if (line.code !== 0 || line.stdout.split(':')[4] !== COMMENT) return [];
  const uid = Number(line.stdout.split(':')[2]);
  const its: string[] = [];
  for (const dir of folders) if ((await system.stat(dir))?.uid === uid) its.push(dir);
  const give = its.length > 0 ? [steps.run(['chown', '-R', 'root:root', ...its])] : [];
  return [...give, steps.run(['userdel', user])];
}
