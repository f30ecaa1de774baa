import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';
import {
  everything,
  install,
  isRoot,
  pathOf,
  programsForInstalls,
  served,
  shells,
} from './install-support.ts';
import { lacking } from '../../support/programs/tools.ts';

const skip = lacking(...programsForInstalls);

describe('install.sh, over what was there', { skip }, () => {
  it('replaces two files and links of an older install, and makes copies where a file has one name', async () => {
    const dir = path.join(tempDir(), 'bin');
    mkdirSync(dir);
    const elsewhere = path.join(tempDir(), 'elsewhere');
    for (const file of [path.join(dir, 'bpbroker'), elsewhere]) writeFileSync(file, 'former');
    symlinkSync(elsewhere, path.join(dir, 'bpclient'));
    const env = { PATH: pathOf(everything, { ln: 'exit 1' }) };
    const { code, stderr } = await install(['--url', await served(), '--dir', dir], { env });
    assert.equal(code, 0, stderr);
    for (const program of ['bpbroker', 'bpclient']) {
      const file = path.join(dir, program);
      const info = lstatSync(file);
      assert.deepEqual([info.isFile(), info.nlink, info.mode & 0o777], [true, 1, 0o755]);
      assert.equal((await run([file])).stdout, `${program} 9.9.9\n`);
    }
    assert.equal(readFileSync(elsewhere, 'utf8'), 'former');
    assert.deepEqual(readdirSync(dir).toSorted(), ['bpbroker', 'bpclient']);
  });

  for (const [name, shell] of Object.entries(shells)) {
    it(`puts back what was there when a later step fails, or a signal comes, under ${name}`, async () => {
      const url = await served();
      for (const last of ['exit 1', 'kill -TERM $PPID; exit 1']) {
        for (const former of [['bpbroker', 'bpclient'], ['bpclient'], []]) {
          const dir = path.join(tempDir(), 'bin');
          mkdirSync(dir);
          for (const program of former) writeFileSync(path.join(dir, program), `former ${program}`);
          // The programs are put in place one after the other: this stops at the second.
          const mv = `case "$3" in */bpclient) [ -e "${dir}/tried" ] || { : >"${dir}/tried"; ${last}; } ;; esac; exec /bin/mv "$@"`;
          const env = { PATH: pathOf(everything, { mv }) };
          const { code, stderr } = await install(['--url', url, '--dir', dir], { shell, env });
          assert.equal(code, 1, stderr);
          if (last === 'exit 1')
            assert.match(stderr, /cannot replace .*\/bpclient: what was there is put back/);
          assert.deepEqual(readdirSync(dir).toSorted(), [...former, 'tried'].toSorted(), stderr);
          for (const program of former)
            assert.equal(readFileSync(path.join(dir, program), 'utf8'), `former ${program}`);
        }
      }
    });
  }

  it('says where the former program is when it cannot be put back', async () => {
    const dir = path.join(tempDir(), 'bin');
    mkdirSync(dir);
    writeFileSync(path.join(dir, 'bpbroker'), 'former');
    const mv = `case "$2" in */bpbroker) exec /bin/mv "$@" ;; *) exit 1 ;; esac`;
    const env = { PATH: pathOf(everything, { mv }) };
    const { code, stderr } = await install(['--url', await served(), '--dir', dir], { env });
    assert.equal(code, 1);
    const [, place = ''] = /cannot put back the former .*\/bpbroker; it is in (\S+)\n/.exec(stderr) ?? [];
    assert.equal(readFileSync(path.join(place, 'bpbroker.former'), 'utf8'), 'former', stderr);
  });

  describe('as root', { skip: isRoot ? false : 'needs root' }, () => {
    /** Installs with an empty /usr/local, in place of the machine's own for as long as this runs; then does `after`. */
    const installAtRoot = (args: readonly string[], after: string, prepare = ''): Promise<RunResult> =>
      install(args, {
        shell: [
          'unshare',
          '--mount',
          'sh',
          '-c',
          `mount -t tmpfs none /usr/local && mkdir /usr/local/bin; ${prepare}\nsh "$@"; code=$?; ${after}; exit $code`,
          'sh',
        ],
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      });
    const former = '/usr/local/bpbroker/bin';
    const everyFile = 'cd /usr/local && find . -type f -o -type l | sort';

    it('goes to /usr/local/bin, with links from where the scripts of 0.22 look, and again over it', async () => {
      const url = await served();
      const again = `sh "$@" >/dev/null && ${former}/bpbroker && ${former}/bpclient && ${everyFile}`;
      const look = `readlink ${former}/bpbroker ${former}/bpclient; stat -c %a ${former}; ${again}`;
      const { code, stdout, stderr } = await installAtRoot(['--url', url], look, 'umask 077');
      assert.deepEqual(
        [code, stdout.split('\n')],
        [
          0,
          [
            'Installed bpbroker and bpclient 9.9.9 in /usr/local/bin',
            `Links to them are in ${former}, for scripts that call bpbroker 0.22.`,

            '/usr/local/bin/bpbroker',
            '/usr/local/bin/bpclient',
            '755',
            'bpbroker 9.9.9',
            'bpclient 9.9.9',
            './bin/bpbroker',
            './bin/bpclient',
            './bpbroker/bin/bpbroker',
            './bpbroker/bin/bpclient',
            '',
          ],
        ],
        stderr,
      );
    });

    it('links only the client when only it is installed, and nothing for a folder that was named', async () => {
      const url = await served();
      const client = await installAtRoot(['--url', url, '--client'], everyFile);
      assert.match(client.stdout, /Links to it are in .*\n\.\/bin\/bpclient\n\.\/bpbroker\/bin\/bpclient\n$/);
      const named = await installAtRoot(['--url', url, '--dir', '/usr/local/opt'], everyFile);
      assert.match(named.stdout, /by name\.\n\.\/opt\/bpbroker\n\.\/opt\/bpclient\n$/);
    });

    it('puts programs and links back when one of the links cannot be made', async () => {
      const prepare = `mkdir -p ${former} && echo of 0.22 >${former}/bpbroker && echo former >/usr/local/bin/bpbroker
        mkdir /usr/local/m && printf '%s\\n' '#!/bin/sh' 'case "$3" in ${former}/bpclient) exit 1 ;; esac' 'exec /bin/mv "$@"' >/usr/local/m/mv
        chmod 755 /usr/local/m/mv; PATH=/usr/local/m:$PATH`;
      const look = `rm -r /usr/local/m; cat ${former}/bpbroker /usr/local/bin/bpbroker; ${everyFile}`;
      const { code, stdout, stderr } = await installAtRoot(['--url', await served()], look, prepare);
      assert.deepEqual(
        [code, stdout],
        [1, 'of 0.22\nformer\n./bin/bpbroker\n./bpbroker/bin/bpbroker\n'],
        stderr,
      );
      assert.match(stderr, new RegExp(`cannot replace ${former}/bpclient`));
    });

    it('names a folder that lies where a link belongs', async () => {
      const { code, stderr } = await installAtRoot(
        ['--url', await served()],
        'true',
        `mkdir -p ${former}/bpclient`,
      );
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`${former}/bpclient is a folder; move it away, or install elsewhere with --dir`),
      );
    });
  });
});
