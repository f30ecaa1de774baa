import { hasFunctions } from './options.ts';

/** A log for a part of the broker: one call writes one line. Fields must hold no secrets. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** The named values of a line of the log; undefined ones are left out. */
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
 * Wraps a logger from outside: none of its failures reaches the work that it logs. There is no other place to
 * report them.
 */
export function harmless(log: Logger): Logger {
  const guard =
    (level: keyof Logger): Logger['info'] =>
    (message, fields) => {
      try {
        const result: unknown = log[level](message, fields);
        // It may be asynchronous, although the type says otherwise.
        if (result instanceof Promise) result.catch(nothing);
      } catch {
        // There is no other place to report it.
      }
    };
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') };
}

/** A logger that discards every line: the default of an embedded broker. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
