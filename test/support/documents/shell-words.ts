/** What may come before the program of a command. */
const before = new Set([
  '!',
  '{',
  'do',
  'elif',
  'else',
  'exec',
  'export',
  'if',
  'sudo',
  'then',
  'time',
  'until',
  'while',
]);
/** Words that are a command of the shell's syntax alone. */
const alone = new Set(['done', 'fi', 'for', 'case', 'esac', '}']);

/**
 * The commands of a script for a POSIX shell or PowerShell: each as its words, without quotes, redirections and the variables that are set
 * for it. A variable stays `$NAME`; `$(…)` is a command, too, and stays `$(…)` in the word that it is part of.
 */
export function commandsOf(script: string): string[][] {
  return createReader(script)
    .read()
    .map(bare)
    .filter(([program = '']) => program !== '' && !alone.has(program));
}

/** Without what comes before the program: keywords, `NAME=value`, and `$name =` of PowerShell. */
function bare(words: readonly string[]): string[] {
  const [first = '', second] = words;
  if (first.startsWith('$') && second === '=') return bare(words.slice(2));
  return before.has(first) || /^\w+=/.test(first) ? bare(words.slice(1)) : [...words];
}

function createReader(text: string): { read(end?: string): string[][] } {
  let at = 0;
  /** Ends of the documents that begin behind the present line. */
  const documents: string[] = [];

  const rest = (): string => text.slice(at);
  const take = (pattern: RegExp): string | undefined => {
    const [found] = new RegExp(`^(?:${pattern.source})`, pattern.flags).exec(rest()) ?? [];
    if (found !== undefined) at += found.length;
    return found;
  };

  function read(end = ''): string[][] {
    const commands: string[][] = [[]];
    const nested: string[][] = [];
    while (at < text.length) {
      if (end !== '' && take(/\)/)) break;
      if (take(/[ \t]+|\\\n|#[^\n]*/)) continue;
      if (take(/\n/)) {
        for (const mark of documents.splice(0)) take(new RegExp(`[^]*?^${mark}$`, 'm'));
        commands.push([]);
      } else if (take(/[;|&()]+/)) commands.push([]);
      else if (take(/<<</)) skipWord(nested);
      else if (take(/<<-?/)) documents.push(word(nested));
      else if (take(/\d*[<>]&\d/)) continue;
      else if (!rest().startsWith('<(') && take(/[\d*]*(?:&>|>>|[<>])/)) skipWord(nested);
      else {
        const from = at;
        commands.at(-1)?.push(word(nested));
        if (at === from) throw new Error(`This is no shell command: ${rest().slice(0, 60)}`);
      }
    }
    return [...commands, ...nested];
  }

  function skipWord(nested: string[][]): void {
    take(/[ \t]+/);
    word(nested);
  }

  function word(nested: string[][]): string {
    let result = '';
    for (;;) {
      const plain = take(/[^\s'"\\$;|&()<>]+/) ?? take(/\$(?!\()/);
      const escaped = plain ?? take(/\\[^]/)?.slice(1);
      const quoted = escaped ?? take(/'[^']*'/)?.slice(1, -1);
      const piece = quoted ?? substituted(nested) ?? doubleQuoted(nested);
      if (piece === undefined) return result;
      result += piece;
    }
  }

  function substituted(nested: string[][]): string | undefined {
    if (!take(/[$<]\(/)) return undefined;
    nested.push(...read(')'));
    return '$(…)';
  }

  function doubleQuoted(nested: string[][]): string | undefined {
    if (!take(/"/)) return undefined;
    let result = '';
    while (at < text.length && !take(/"/)) {
      const escaped = take(/\\["\\$`]/)?.slice(1);
      result += escaped ?? substituted(nested) ?? take(/[^]/) ?? '';
    }
    return result;
  }

  return { read };
}
