/**
 * What install-service writes as a comment into the one file that defines a service. From this record, a
 * later install-service and uninstall-service know that the file is theirs, and what belongs to the service.
 */
export interface ServiceRecord {
  /** The tree of `BPBROKER_HOME`. */
  readonly root: string;
  /** The file of `--config`. */
  readonly config?: string;
  /** Version of the program: a replaced program changes the definition, and so the service is restarted. */
  readonly version?: string;
  /** Copy of the executable, made for the service only; it may be of an earlier installation. */
  readonly copy?: string;
  /** The system's user that it runs as. */
  readonly user?: string;
}

const mark = 'bpbroker-record:';

/** The line to put after the format's comment sign. It is ASCII, and does not end an XML comment. */
export function recordLine(record: ServiceRecord): string {
  const json = JSON.stringify(record).replaceAll(/[-<>&]|[^ -~]/g, escapeCharacter);
  return `${mark} ${json}`;
}

/** The record in the text of a definition; `undefined` when the text is not ours. */
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
