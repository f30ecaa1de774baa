import { SyntaxKind } from 'typescript/unstable/ast';
import { computeLineStarts, createScanner } from 'typescript/unstable/ast/scanner';

/** A comment without its marks, or the text of a string or of a piece of a template. */
export interface SourceText {
  readonly kind: 'comment' | 'string';
  readonly text: string;
  /** The line where it begins, from 1. */
  readonly line: number;
}

interface Token {
  readonly kind: SyntaxKind;
  readonly text: string;
  /** Of a string: what it evaluates to. */
  readonly value: string;
  readonly line: number;
}

/** A slash after one of these begins a regular expression; after any other token it divides. */
const beforeExpression =
  /^(?:[(,=:[!&|?{};<>+*-]|=>|&&|\|\||\?\?|[=!]==?|\.\.\.|return|case|typeof|await|.*\$\{)$/s;

const strings: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateHead,
  SyntaxKind.TemplateMiddle,
  SyntaxKind.TemplateTail,
]);

const blanks: ReadonlySet<SyntaxKind> = new Set([SyntaxKind.WhitespaceTrivia, SyntaxKind.NewLineTrivia]);

/**
 * The comments, strings and templates of a TypeScript source, in its order. Line comments on neighbouring lines,
 * with nothing between them, are one comment.
 * @throws Error where a string, template or comment does not end.
 */
export function textsOf(source: string): SourceText[] {
  const texts: SourceText[] = [];
  let commentEnds = Number.NaN;
  for (const { kind, text, value, line } of tokensOf(source)) {
    if (kind === SyntaxKind.SingleLineCommentTrivia) {
      const added = text.replace(/^\/\/+ ?/, '');
      const before = line === commentEnds + 1 ? texts.pop() : undefined;
      const whole = before ? `${before.text}\n${added}` : added;
      texts.push({ kind: 'comment', text: whole, line: before?.line ?? line });
      commentEnds = line;
      continue;
    }
    commentEnds = Number.NaN;
    if (kind === SyntaxKind.MultiLineCommentTrivia)
      texts.push({ kind: 'comment', text: withoutMarks(text), line });
    else if (strings.has(kind)) texts.push({ kind: 'string', text: value, line });
  }
  return texts;
}

/** All tokens and comments, but no blanks. */
function* tokensOf(source: string): Generator<Token> {
  const scanner = createScanner(false, undefined, source);
  const starts = computeLineStarts(source);
  /** For each template around: how many braces are open in its substitution. */
  const braces: number[] = [];
  let previous = '(';
  let line = 1;
  for (;;) {
    let kind = scanner.scan();
    if (kind === SyntaxKind.EndOfFile) return;
    if (blanks.has(kind)) continue;
    if (kind === SyntaxKind.CloseBraceToken && braces.at(-1) === 0) kind = scanner.reScanTemplateToken(false);
    const isSlash = kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken;
    if (isSlash && beforeExpression.test(previous)) kind = scanner.reScanSlashToken();
    countBraces(braces, kind);
    while ((starts[line] ?? Infinity) <= scanner.getTokenStart()) line += 1;
    if (scanner.isUnterminated()) throw new Error(`line ${line}: ${scanner.getTokenText()} has no end`);
    yield { kind, text: scanner.getTokenText(), value: scanner.getTokenValue(), line };
    const isComment =
      kind === SyntaxKind.SingleLineCommentTrivia || kind === SyntaxKind.MultiLineCommentTrivia;
    if (!isComment) previous = scanner.getTokenText();
  }
}

function countBraces(braces: number[], kind: SyntaxKind): void {
  if (kind === SyntaxKind.TemplateHead) braces.push(0);
  if (kind === SyntaxKind.TemplateTail) braces.pop();
  const open = braces.pop();
  if (open === undefined) return;
  const step = kind === SyntaxKind.OpenBraceToken ? 1 : kind === SyntaxKind.CloseBraceToken ? -1 : 0;
  braces.push(open + step);
}

/** A block comment as its lines, without what begins and ends them. */
function withoutMarks(comment: string): string {
  return comment
    .replace(/^\/\*+/, '')
    .replace(/\*+\/$/, '')
    .replaceAll(/^[ \t]*\*(?: |$)/gm, '')
    .trim();
}

/**
 * The passages of a comment, without the marks of documentation: each paragraph, item and tag is one. Code is
 * `code`, and examples are left out, as are directives of the linter.
 */
export function passagesIn(comment: string): string[] {
  return comment
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .replaceAll(/^oxlint-.*$/gm, '')
    .replaceAll(/\{@link [^}]*\}|`[^`]*`/g, 'code')
    .split(/\n\s*\n|\n(?=\s*(?:@|- |\d+\. ))/)
    .map((passage) => passage.replaceAll(/\s+/g, ' ').trim())
    .filter(Boolean);
}
