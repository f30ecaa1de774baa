import { appendFile, readFile } from 'node:fs/promises';

/**
 * Called by every node once all of them have come: enters it in the list of members that the first server keeps, and
 * gives it its number. A node that asks again gets the same number.
 */
export async function Join({ data, config, clientAddress, registry, withLock }) {
  if (typeof data !== 'string' || !/^[\w.-]+$/.test(data)) {
    throw Object.assign(new Error(`Invalid name of a node: ${JSON.stringify(data)}`), { status: 400 });
  }
  return await withLock('members', async () => {
    const text = await readFile(config.members_file, 'utf8').catch(() => '');
    const members = text.split('\n').filter((line) => line !== '');
    let number = 1 + members.findIndex((line) => line.startsWith(`${data} `));
    if (number === 0) {
      await appendFile(config.members_file, `${data} ${clientAddress}\n`);
      number = members.length + 1;
    }
    await registry.replace(`${config.name}/member/${data}`, { number, address: clientAddress });
    return { number, name: data };
  });
}
