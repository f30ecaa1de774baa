import { readFileSync } from 'node:fs';
import path from 'node:path';
import { referencePage } from './page.ts';
import { configurationSections } from './configuration.ts';
import { errorSections } from './errors.ts';
import { httpSections } from './http.ts';
import { fillSections, type Sections } from './sections.ts';

/** The expected text of a page. */
export interface ReferencePage {
  readonly name: string;
  readonly text: string;
}

/** The made parts of each page, by the name of the page. */
function madeParts(): Readonly<Record<string, Sections>> {
  const { options, 'etcd-options': etcd, 'audit-options': audit } = configurationSections();
  const { errors, 'exit-codes': exits } = errorSections();
  return {
    'api.md': { ...httpSections(), errors },
    'audit.md': { 'audit-options': audit },
    'configuration.md': { options, 'etcd-options': etcd },
    'troubleshooting.md': { 'exit-codes': exits },
  };
}

/**
 * Makes the pages that come from the definitions in src, in whole or in part.
 * @param docs the folder of the present pages: their hand-written text is kept.
 */
export async function referencePages(docs: string): Promise<ReferencePage[]> {
  const parts = Object.entries(madeParts()).map(([name, sections]) => ({
    name,
    text: fillSections(readFileSync(path.join(docs, name), 'utf8'), sections),
  }));
  return [{ name: 'cli.md', text: await referencePage() }, ...parts];
}
