/** The meaning of the exit codes of every command (contract, section 2). */
export const exitCodes: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'the broker or an extension reported an error',
  2: 'the command line is wrong',
  3: 'not found',
  4: 'already exists, or changed meanwhile',
  5: 'access denied',
  6: 'no broker reached',
  7: 'several brokers answered',
  8: "the broker's identity does not match",
  9: 'gave up waiting',
};
