import type { Journal } from './journal.ts';
import { journalPath } from './journal-files.ts';

/** Replaces a journal while the disk has no room for one: every append is refused as by a full disk. */
export function missingJournal(file: string): Journal {
  return {
    path: journalPath(file, 0),
    base: 0,
    size: 0,
    used: false,
    append(_records, _recordBytes, done) {
      const error = Object.assign(new Error('there was none for a journal'), { code: 'ENOSPC' });
      done({ step: 'write', error });
    },
    rollback(done) {
      done(null);
    },
    link: () => 'own',
    close: () => Promise.resolve(),
  };
}
