import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../../build/root.ts';
import { archiveName, executableName, targets } from '../../../build/release/targets.ts';

const read = (name: string): string => readFileSync(path.join(root, 'build', 'install', name), 'utf8');
const script = read('install.ps1');
const shell = read('install.sh');

/** Without comments and the contents of strings: what the structure of the script is. */
const bare = script
  .replaceAll(/<#[^]*?#>/g, '')
  .replaceAll(/'[^'\n]*'/g, "''")
  .replaceAll(/"(?:[^"\n]|`")*"/g, '""')
  .replaceAll(/^\s*#.*$/gm, '');

const matches = (pattern: RegExp): string[] => [...script.matchAll(pattern)].map(([, group = '']) => group);

/** PowerShell is not on every machine that runs these tests, so they hold the script against what it has to agree with. */
describe('install.ps1', () => {
  it('knows the targets for Windows, all of them and no others', () => {
    const known = matches(/\{ '(windows-[\w-]+)' \}/g);
    const built = targets.filter(({ platform }) => platform === 'win32').map(({ name }) => name);
    assert.deepEqual(known.toSorted(), built.toSorted());
    assert.deepEqual(matches(/^ +'(\w+)' \{ 'windows/gm), ['AMD64', 'ARM64']);
  });

  it('looks for the names that archives have in SHA256SUMS', () => {
    const [pattern = ''] = matches(/-cmatch "([^"]+)"/g);
    assert.match(pattern, /\$product-\$wanted-\$target/);
    assert.match(script, /\$product = if \(\$Client\) \{ 'bpclient' \} else \{ 'bpbroker' \}/);
    const all = targets.flatMap((target) => [
      { target, product: 'bpbroker' },
      { target, product: 'bpclient' },
    ]);
    for (const { target, product } of all) {
      const line = `${'0f'.repeat(32)}  ${archiveName(product, target, '1.2.3')}`;
      for (const [wanted, found] of [
        [String.raw`1\.2\.3`, true],
        ['[0-9][^ ]*', true],
        [String.raw`1\.2\.4`, false],
      ] as const) {
        for (const asked of ['bpbroker', 'bpclient']) {
          const names = { $product: asked, $wanted: wanted, $target: target.name };
          const filled = Object.entries(names).reduce(
            (text, [name, value]) => text.replace(name, value),
            pattern,
          );
          const expected = found && target.platform === 'win32' && asked === product;
          assert.equal(new RegExp(filled).test(line), expected, `${filled} ${line}`);
        }
      }
    }
  });

  it('unpacks and installs the programs under the names that they are built with', () => {
    const loops = matches(/foreach \(\$program in ([^)]*)\)/g);
    assert.deepEqual([loops.length > 2, ...new Set(loops)], [true, '$programs']);
    assert.match(script, /\$programs = if \(\$Client\) \{ 'bpclient' \} else \{ 'bpbroker', 'bpclient' \}/);
    // The archive has the one file; its second name is made before it is tried, and again where it is installed.
    const second = matches(/^ +if \(-not \$Client\) \{ Add-Name (.*) \}$/gm);
    assert.deepEqual(second, [
      "(Join-Path $unpacked 'bpbroker.exe') (Join-Path $unpacked 'bpclient.exe')",
      "(Join-Path $Dir 'bpbroker.exe.new') (Join-Path $Dir 'bpclient.exe.new')",
    ]);
    assert.match(script, /function Add-Name[^]*?New-Item -ItemType HardLink[^]*?catch \{\s*Copy-Item/);
    for (const name of matches(/"(\$program\.exe)"/g))
      assert.equal(name.replace('$program', 'bpbroker'), executableName('bpbroker', 'win32'));
  });

  it('has the addresses and variables of install.sh', () => {
    const [releases = ''] = matches(/\$releases = '([^']+)'/g);
    assert.ok(shell.includes(`\nreleases=${releases}\n`));
    for (const place of ['latest/download', 'download/v']) {
      assert.ok(script.includes(`$releases/${place}`) && shell.includes(`$releases/${place}`), place);
    }
    const variables = (text: string): string[] => [...new Set(text.match(/BPBROKER_[A-Z_]+/g))].toSorted();
    assert.deepEqual(variables(script), variables(shell));
    assert.deepEqual(variables(script), [
      'BPBROKER_INSTALL_CLIENT',
      'BPBROKER_INSTALL_DIR',
      'BPBROKER_INSTALL_PLAIN_HTTP',
      'BPBROKER_INSTALL_URL',
      'BPBROKER_VERSION',
    ]);
  });

  it('verifies before it unpacks, unpacks before it runs, and runs before it installs', () => {
    const steps = [
      'SHA256SUMS" -OutFile',
      'if ($signingKey) {',
      'SHA256SUMS.sshsig" -OutFile',
      '-RedirectStandardInput $sums',
      'does not bear the signature',
      'Get-Content -LiteralPath $sums',
      'archive" -OutFile',
      'Get-FileHash',
      'as in SHA256SUMS: nothing was installed',
      'Expand-Archive',
      '--version',
      '-Path $Dir -Force',
      'Move-Item',
    ];
    const places = steps.map((step) => script.indexOf(step));
    assert.ok(
      places.every((place) => place !== -1),
      String(places),
    );
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
  });

  it('takes what ssh-keygen calls good and nothing else, for the name and the purpose that install.sh has', () => {
    assert.match(script, /if \(\$check\.ExitCode -ne 0\) \{\s*throw /);
    assert.match(script, /if \(-not \$keygen\) \{\s*throw /);
    const words =
      "'-Y', 'verify', '-f', \"`\"$signers`\"\", '-I', 'bpbroker', '-n', 'bpbroker-release', '-s', \"`\"$signature`\"\"";
    assert.ok(script.includes(`$words = ${words}\n`));
    assert.match(shell, /-Y verify -f "\$temp\/signers" -I bpbroker -n bpbroker-release -s "\$temp\/sig"/);
    assert.ok(script.includes('"bpbroker namespaces=`"bpbroker-release`" ssh-ed25519 $signingKey`n"'));
    assert.ok(shell.includes(String.raw`"bpbroker namespaces=\"bpbroker-release\" ssh-ed25519 $key_ssh"`));
  });

  it('puts back all that it has replaced, and removes what it has placed where nothing was', () => {
    const rollback =
      /catch \{\s*foreach \(\$program in \$programs\) \{[^]*?\n {6}\}\n {6}throw/.exec(script)?.[0] ?? '';
    assert.match(rollback, /if \(\$placed -contains \$program\) \{ Remove-Item -LiteralPath \$place /);
    assert.match(rollback, /\{ Move-Item -LiteralPath "\$place\.\$old" -Destination \$place \}/);
  });

  it('moves nothing out of the temporary folder, whose rights it would keep', () => {
    assert.doesNotMatch(script, /Move-Item[^\n]*(?:\$temp|\$unpacked)/);
    assert.match(script, /Copy-Item -LiteralPath \(Join-Path \$unpacked/);
  });

  it('stops at the first error, in the language of Windows PowerShell 5.1', () => {
    assert.match(script, /^#requires -Version 5\.1\n/);
    assert.match(script, /function Install-Bpbroker[^]*?\n {2}\$ErrorActionPreference = 'Stop'/);
    // What only PowerShell 7 has: chains, the ternary and null operators.
    assert.doesNotMatch(bare, /&&|\|\||\?\?|\?\.|\s\?\s/);
    // `exit` would end the session of a user who pipes this into iex.
    assert.doesNotMatch(bare, /\bexit\b/i);
    for (const uri of matches(/Invoke-WebRequest (.*)/g)) assert.match(uri, /^-UseBasicParsing /);
  });

  it('closes what it opens, and uses only variables that it has', () => {
    for (const [open, close] of [
      ['{', '}'],
      ['(', ')'],
      ['[', ']'],
    ] as const) {
      assert.equal(bare.split(open).length, bare.split(close).length, open);
    }
    const text = script.toLowerCase();
    const assigned =
      /\$[a-z]\w*(?=(?:, \$\w+)* = )|(?<=\[(?:string|bool)\] )\$\w+|(?<=foreach \()\$\w+(?= in )/g;
    const known = new Set([...(text.match(assigned) ?? []), '$env', '$lastexitcode']);
    for (const name of text.match(/\$[a-z]\w*/g) ?? []) assert.ok(known.has(name), name);
  });
});
