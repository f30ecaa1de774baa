import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokerRoot } from '../../src/cli/programs/broker-root.ts';
import { parseCommandLine } from '../../src/cli/options/parse.ts';
import { wholeProgram } from '../../src/cli/programs/whole-program.ts';

const root = wholeProgram('bpbroker', brokerRoot);

/** What a command line that is wrong is answered with: what was probably meant. */
function meant(...argv: string[]): string | undefined {
  try {
    parseCommandLine(argv, root, {});
  } catch (error) {
    return /\(did you mean (.*?)\?\)/.exec((error as Error).message)?.[1];
  }
  return assert.fail(`nothing is wrong with ${argv.join(' ')}`);
}

describe('a usage error', () => {
  it('names the options that begin with a letter that no option has, where they are few', () => {
    assert.equal(meant('-v'), "'--version' or '--verbose'");
    assert.equal(meant('-V'), "'--version' or '--verbose'");
    assert.equal(meant('service', 'get', '-n', 'foo'), "'--name'");
    assert.equal(meant('ping', '-z'), undefined);
    // Too many to help.
    assert.equal(meant('-d', 'x'), undefined);
  });

  it('names the option that a word is meant for, as it may be typed', () => {
    assert.equal(meant('service', 'get', 'foo'), "'--name foo'");
    assert.equal(meant('service', 'get', "it's"), `'--name 'it'\\''s''`);
    assert.equal(meant('service', 'register', '--name', 'foo', 'bar'), "'--data bar'");
    assert.equal(meant('service', 'list', 'web/'), "'--prefix web/'");
    assert.equal(meant('discover', 'foo'), "'--name foo'");
    assert.equal(meant('ping', '10.0.0.1'), "'--bpbroker 10.0.0.1'");
    assert.equal(meant('execute', 'ossec.Add'), "'--method ossec.Add'");
    assert.equal(meant('restore', 'a.json'), "'--from a.json'");
    assert.equal(meant('uninstall-service', 'now'), undefined);
    assert.equal(meant('help', 'ping', 'now'), undefined);
  });

  it('names the option that another word stands for, by the command it was given to', () => {
    assert.equal(meant('--key', 'x', 'ping'), "'--access-key'");
    assert.equal(meant('ping', '--key=x'), "'--access-key'");
    assert.equal(meant('start', '--key', 'x'), "'--ssl-key'");
    assert.equal(meant('keygen', '--key', 'x'), "'--key-file'");
    assert.equal(meant('start', '--port', '1'), "'--listen-port'");
    assert.equal(meant('ping', '--host', 'x'), "'--bpbroker'");
    // An option that this command does not take is no help.
    assert.equal(meant('keygen', '--acess-key', 'x'), undefined);
  });

  it('names a command in another place', () => {
    assert.equal(meant('get', '--name', 'foo'), "'service get'");
    assert.equal(meant('lst'), "'service list'");
    assert.equal(meant('service', 'ping'), "'ping'");
    assert.equal(meant('help', 'get'), "'service get'");
    assert.equal(meant('service', 'set'), "'replace'");
    assert.equal(meant('rm'), "'service delete'");
    assert.equal(meant('pnig'), "'ping'");
    assert.equal(meant('help', 'servce'), "'service'");
    assert.equal(meant('constructor'), undefined);
  });
});
