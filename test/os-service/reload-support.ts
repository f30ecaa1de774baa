import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Debian } from '../support/machine/debian.ts';
import { waitFor } from '../support/wait.ts';

/** Edits the options of the service that runs on `debian`, and has systemd reload it. */
export async function checkReload(debian: Debian): Promise<void> {
  const show = (property: string): Promise<string> =>
    debian.ok(['systemctl', 'show', '--value', '--property', property, 'bpbroker']);
  const pid = await show('MainPID');
  const file = path.join(debian.root, '/usr/local/bpbroker/etc/bpbroker.json');
  const options = JSON.parse(readFileSync(file, 'utf8')) as Record<string, object>;
  // In place: owner and mode stay.
  writeFileSync(file, JSON.stringify({ ...options, reloaded: { _access_key: 'x' } }));
  await debian.ok(['systemctl', 'reload', 'bpbroker']);
  await waitFor('the reload', async () =>
    (await debian.ok(['journalctl', '-u', 'bpbroker', '-o', 'cat', '--no-pager'])).includes(
      'the options were taken over anew',
    ),
  );
  await waitFor('the end of the reload', async () => (await show('ActiveState')) === 'active');
  assert.equal(await show('MainPID'), pid);
}
