import { sentencesOf, wordsOf } from './prose.ts';

/** Turns that a reader has to read twice, and what to write in their place. */
const banned: ReadonlyArray<readonly [turn: RegExp, instead: string]> = [
  [/\b(?:stands?|stood)\b(?!-| (?:for|in)\b)/i, 'is, exists'],
  [/^Who [a-z]/, 'a client that …, whoever …'],
  [/\blater wins\b/, 'a later layer overrides an earlier one'],
  [/\b(?:is|are|was|were|be|been) told\b(?! (?:apart|from)\b)/, 'learns, gets'],
  [/\baffair\b/, 'decides'],
  [/\bone['’]s own\b/, 'your own'],
  [/\b(?:of|on) (?:his|her) own\b/, 'of their own'],
  [/\bWhat is no\b/, 'anything that is not'],
  [/\bat the (?:most|least)\b/, 'at most, at least'],
];

/** The most words that a sentence has. */
export const LONGEST = 30;

/** What to write in place of the banned turns of a sentence. */
export function turnsOf(sentence: string): string[] {
  return banned.filter(([turn]) => turn.test(sentence)).map(([, instead]) => `write '${instead}'`);
}

/** The number of words of a sentence that has too many. */
export function lengthOf(sentence: string): string[] {
  const { length } = wordsOf(sentence);
  return length > LONGEST ? [`${length} words`] : [];
}

/** The faults that `of` finds in the sentences of a text, each with its sentence. */
export function faultsIn(text: string, of: (sentence: string) => string[]): string[] {
  return sentencesOf(text).flatMap((sentence) => of(sentence).map((fault) => `${fault}: ${sentence}`));
}
