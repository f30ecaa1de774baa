import { hasFunctions } from './options.ts';

/** Where a part of the broker says what happened: one call, one line. Fields must hold no secrets. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Whether a value can be used as a {@link Logger}. */
export const isLogger: (value: unknown) => boolean = hasFunctions('debug', 'info', 'warn', 'error');

/** A logger that adds fields to every line. */
export function withFields(log: Logger, added: LogFields): Logger {
  const at =
    (level: keyof Logger): Logger['info'] =>
    (message, fields) =>
      log[level](message, { ...fields, ...added });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const nothing = (): void => undefined;

/**
 * A logger that may be given from outside, made so that none of its failures reaches the work it tells of. There is
 * nowhere else to tell them.
 */
export function harmless(log: Logger): Logger {
  const guard =
    (level: keyof Logger): Logger['info'] =>
    (message, fields) => {
      try {
        const result: unknown = log[level](message, fields);
        // It may be asynchronous, although it is not asked to be.
        if (result instanceof Promise) result.catch(nothing);
      } catch {
        // See above.
      }
    };
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') };
}

/** A logger that says nothing: what an embedded broker uses unless it is given another. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
