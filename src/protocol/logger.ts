/** Where a part of the broker says what happened: one call, one line. Fields must hold no secrets. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

const nothing = (): void => undefined;

/** A logger that says nothing: what an embedded broker uses unless it is given another. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
