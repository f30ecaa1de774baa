/** The members of a schema's issue that its text is made from. valibot's issues have them. */
export interface SchemaIssue {
  readonly type: string;
  readonly expected: string | null;
  readonly received: string;
  readonly message: string;
}

const kinds: Readonly<Record<string, string>> = {
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  Object: 'an object',
  Array: 'a list',
};

/** Valibot's default messages. Those of our own schemas may begin alike: `Invalid duration 'x': expected …`. */
const ofLibrary = /^Invalid \w+: (?:Expected|Received) /;

/**
 * What is wrong with an option, in words for users: `expected a number, got "x"`. A schema's own message is
 * returned unchanged; only valibot's default messages, which are in words for programmers, are replaced.
 */
export function issueText({ type, expected, received, message }: SchemaIssue): string {
  const known = type === 'integer' ? 'a whole number' : expected;
  if (!known || !ofLibrary.test(message)) return message;
  if (type.endsWith('object') && received === 'undefined') return 'it is missing';
  const measured = type.endsWith('_length') ? 'a length of ' : '';
  const right = measured + rightValue(known);
  return `expected ${right}, got ${kinds[received] ?? received}`;
}

function rightValue(expected: string): string {
  const [, sign, bound] = /^(<=|>=|>)(.+)$/.exec(expected) ?? [];
  if (sign !== undefined)
    return `${{ '<=': 'at most', '>=': 'at least', '>': 'a number above' }[sign]} ${bound}`;
  const words = [...expected.matchAll(/"([^"]+)"/g)].map(([, word]) => word);
  return words.length > 0 ? words.join(', ').replace(/, ([^,]+)$/, ' or $1') : (kinds[expected] ?? expected);
}
