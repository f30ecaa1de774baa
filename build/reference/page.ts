import { brokerRoot } from '../../src/cli/programs/broker-root.ts';
import { clientCommands } from '../../src/cli/programs/client-commands.ts';
import type { Command } from '../../src/cli/command.ts';
import { exitCodes } from '../../src/cli/help/exit-codes.ts';
import { groupsOf, optionRow, pageOf, type Row } from '../../src/cli/help/page.ts';
import { optionDefinitions, type OptionName } from '../../src/cli/options/options.ts';
import type { OptionGroup } from '../../src/cli/options/option-definition.ts';
import { wholeProgram } from '../../src/cli/programs/whole-program.ts';
import { table } from './sections.ts';
import { givenVariables, systemVariables, userVariables, type Variable } from './variables.ts';

/** Options of these groups are explained once; the commands that take them only name them. */
const common: Partial<Readonly<Record<OptionGroup, string>>> = {
  connection: 'Connection options',
  output: 'Output options',
};

const introduction = `# Command line

<!-- Made by \`npm run build:reference\` from the tables in src/cli. Do not edit it: a test fails where the two differ. -->

\`bpbroker\` has all commands, \`bpclient\` those that talk to a broker. \`--help\` and \`help COMMAND\` show what this page says, as wide as the terminal.

- Options may come before or after the command: \`bpclient -b 10.0.0.1 ping\` and \`bpclient ping -b 10.0.0.1\` are the same.
- A value may follow a space or \`=\`: \`--name foo\`, \`--name=foo\`. It is taken literally, also where it begins with \`-\` or \`@\`.
- An option that may be given once is refused when it is given twice. An unknown option or command is refused, and the nearest one is named.
- A time is a number with a unit: \`500ms\`, \`3s\`, \`2m\`, \`1h\`, \`1d\`. A number alone counts seconds. The longest is 10 years.
- An option overrides its variable. An empty variable counts as none, except for keys, \`BPBROKER_FINGERPRINT\` and \`BPBROKER_CA\`, where it is refused. A message about a value that is from a variable names the variable.
- A file that an option names must exist and be readable, or the exit code is 2. The command makes these, in a folder that exists: \`--log-file\`, and \`--config\` of \`start\`, \`configure\`, \`restore\` and \`install-extension --enable\`. With no file in the default place, the exit code is 3.
- Standard output carries the result alone. All else is on standard error. A failure is one line there, \`Fatal error: MESSAGE\`; from \`start\` with a JSON log, a line of JSON.
`;

/** `docs/cli.md`: the help of every command, in one page. */
export async function referencePage(): Promise<string> {
  const program = wholeProgram('bpbroker', brokerRoot);
  const commands = commandsBelow(program, []);
  const sections = [
    introduction,
    section(
      'Commands',
      commands.map(
        ({ path, command }) => `- [${path.join(' ')}](#${path.join('-')}): ${command.description}`,
      ),
    ),
    section(
      'Exit codes',
      Object.entries(exitCodes).map(([code, text]) => `- \`${code}\`: ${text}`),
    ),
    section('Environment variables', [
      variables(userVariables()),
      '',
      'The system sets these, or another program does:',
      '',
      variables(systemVariables),
      '',
      "`bpclient doctor` reads `BPBROKER_HOME`, `BPBROKER_LISTEN_…`, `BPBROKER_SSL_…` and the folders of Windows too, for the check of this host's own broker.",
    ]),
    section('Variables that other commands are given', given()),
    ...Object.entries(common).map(([group, title]) => commonOptions(group as OptionGroup, title)),
    ...(await Promise.all(commands.map(({ path, command }) => commandSection(path, command)))),
  ];
  return sections.join('\n');
}

interface At {
  readonly path: readonly string[];
  readonly command: Command;
}

/** The commands that do something, in order. */
function commandsBelow(group: Command, path: readonly string[]): At[] {
  return Object.entries(group.subCommands ?? {})
    .filter(([, { hidden }]) => !hidden)
    .flatMap(([name, command]) => {
      const at = { path: [...path, name], command };
      // The topics of help would repeat the commands.
      return command.subCommands && name !== 'help' ? commandsBelow(command, at.path) : [at];
    });
}

function section(title: string, lines: readonly string[]): string {
  return `## ${title}\n\n${lines.join('\n')}\n`;
}

function variables(all: Readonly<Record<string, Variable>>): string {
  const rows = Object.values(all)
    .filter((variable, n, list) => list.indexOf(variable) === n)
    .map((variable) => {
      const { program, default: standard, description } = variable;
      const names = Object.keys(all).filter((name) => all[name] === variable);
      return [
        names.map((name) => `\`${name}\``).join(', '),
        program === 'both' ? 'both' : `\`${program}\``,
        standard.includes('`') ? standard : withCode(standard),
        description,
      ];
    });
  return table(['variable', 'read by', 'default', 'meaning'], rows);
}

function given(): string[] {
  const rows = Object.entries(givenVariables).map(([name, [to, description]]) => [
    `\`${name}\``,
    to,
    description,
  ]);
  return [table(['variable', 'given to', 'meaning'], rows)];
}

function commonOptions(group: OptionGroup, title: string): string {
  const names = (Object.keys(optionDefinitions) as OptionName[]).filter(
    (name) => optionDefinitions[name].group === group,
  );
  return section(
    title,
    names.map((name) => optionLine(optionRow(name, { description: '' }))),
  );
}

function optionLine({ term, text }: Row): string {
  return `- \`${term}\`: ${withCode(text.replaceAll('\u00a0', ' '))}`;
}

/** With options, variables and keys of the configuration as code. */
function withCode(text: string): string {
  return text.replaceAll(/(?<![\w-])(?:--[a-z][a-z-]*|[\w.]*_[\w.]*\w)/g, (word) => `\`${word}\``);
}

async function commandSection(path: readonly string[], command: Command): Promise<string> {
  const program = Object.hasOwn(clientCommands, path[0] ?? '') ? 'bpclient' : 'bpbroker';
  const { summary, details, synopsis, exits, examples } = await pageOf(program, path, command);
  const own = program === 'bpbroker' && !['completion', 'help'].includes(path[0] ?? '');
  return section(path.join(' '), [
    `${withCode(summary)}${own ? ' (`bpbroker` alone)' : ''}`,
    ...block('text', [synopsis.join(' ')]),
    ...details.flatMap((text) => ['', withCode(text)]),
    ...optionLines(command),
    ...(exits.rows.length === 0
      ? []
      : ['', 'Exit codes besides [the usual ones](#exit-codes):', '', ...exits.rows.map(optionLine)]),
    ...(examples.length === 0 ? [] : ['', 'Examples:', ...block('shell', examples)]),
  ]);
}

function optionLines(command: Command): string[] {
  const isCommon = (group: OptionGroup, name: OptionName): boolean =>
    common[group] !== undefined &&
    command.meanings?.[name] === undefined &&
    command.defaults?.[name] === undefined;
  const groups = groupsOf(command);
  const own = groups.flatMap(({ group, names }) =>
    names.filter((name) => name !== 'help' && !isCommon(group, name)),
  );
  const others = groups.flatMap(({ group, names }) => {
    const shared = names.filter((name) => isCommon(group, name));
    const title = common[group] ?? '';
    const list = shared.map((name) => `\`--${name}\``).join(', ');
    return shared.length === 0 ? [] : ['', `[${title}](#${slug(title)}): ${list}.`];
  });
  const lines = own.map((name) => optionLine(optionRow(name, command)));
  return [...(lines.length === 0 ? [] : ['', 'Options:', '', ...lines]), ...others];
}

function block(language: string, lines: readonly string[]): string[] {
  return ['', `\`\`\`${language}`, ...lines, '```'];
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(' ', '-');
}
