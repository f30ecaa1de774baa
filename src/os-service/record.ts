/**
 * What install-service writes, as a comment, into the one file that defines a service: by it a later install-service and
 * uninstall-service know the file for theirs, and what belongs to the service.
 */
export interface ServiceRecord {
  /** The tree that `BPBROKER_HOME` names. */
  readonly root: string;
  /** The file of `--config`. */
  readonly config?: string;
  /** Version of the program: one that was replaced where it is makes another definition, and so a restart. */
  readonly version?: string;
  /** Copy of the executable, made for the service alone; it may be of an earlier installation. */
  readonly copy?: string;
  /** The system's user that it runs as. */
  readonly user?: string;
}

const mark = 'bpbroker-record:';

/** The line to put behind the format's own sign of a comment, in ASCII; it ends no comment of XML. */
export function recordLine(record: ServiceRecord): string {
  const json = JSON.stringify(record).replaceAll(/[-<>&]|[^ -~]/g, escapeCharacter);
  return `${mark} ${json}`;
}

/** The record in the text of a definition; nothing when it is not one of ours. */
export function recordOf(text: string): ServiceRecord | undefined {
  const json = new RegExp(`${mark} (\\{.*\\})`).exec(text)?.[1];
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json) as ServiceRecord;
  } catch {
    return undefined;
  }
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
