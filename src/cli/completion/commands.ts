import type { Command } from '../command.ts';
import { type Shell, shells } from './shells.ts';

const places: Readonly<Record<Shell, (program: string) => string>> = {
  // Not `source <(…)`: bash 3.2 (macOS) reads nothing from that.
  bash: (program) => `eval "$(${program} completion bash)"`,
  zsh: (program) => `source <(${program} completion zsh)`,
  fish: (program) => `${program} completion fish | source`,
  powershell: (program) => `${program} completion powershell | Out-String | Invoke-Expression`,
};

/**
 * `completion SHELL` prints a script for that shell. The script calls the hidden command `complete` at each
 * TAB. So the completions always match this very program.
 * @param root returns all commands of the program.
 */
export function completionCommands(program: string, root: () => Command): Readonly<Record<string, Command>> {
  const script = (shell: Shell): Command => ({
    description: `For ${shell}: ${places[shell](program)}`,
    prints: 'The script.',
    positionals: [],
    examples: [`completion ${shell}`],
    load: async () => {
      const [{ scriptFor }, { writeOut }] = await Promise.all([
        import('./scripts.ts'),
        import('../terminal/terminal.ts'),
      ]);
      return { run: async () => writeOut(scriptFor(shell, program)) };
    },
  });
  return {
    completion: {
      description: 'Print a script for shell completion',
      subCommands: Object.fromEntries(shells.map((shell) => [shell, script(shell)])),
    },
    complete: {
      description: 'Complete a command line that is being typed',
      hidden: true,
      options: ['word'],
      load: async () => {
        const { runComplete } = await import('./complete.ts');
        return { run: (args) => runComplete(root(), args.list('word')) };
      },
    },
  };
}
