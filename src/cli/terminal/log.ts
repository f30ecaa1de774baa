import type { ConsolaInstance, LogObject } from 'consola';
import { createConsola } from 'consola/basic';
import { fstatSync } from 'node:fs';
import type { LogLevel } from '../../config/schema.ts';
import type { LogFields, Logger } from '../../protocol/logger.ts';
import { lossText } from './line-queue.ts';
import { logToErrors, writeError } from './terminal.ts';

export type LogFormat = 'text' | 'json';
const levels: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 3, debug: 4 };

/** A log whose level can be changed while it is used. */
export interface Log extends Logger {
  setLevel(level: LogLevel): void;
  /** Writes a line of the audit trail, whatever the level of the log is. */
  audit(fields: LogFields): void;
}

/**
 * The broker's log, on standard error. Each event is one line, as text (`2026-01-31T12:00:00.000Z warn
 * message key=value`) or as JSON. Control characters are escaped. The journal gets text with its own form of
 * the level, `<4>message`, and without a time, which it adds itself.
 */
export function createLog(format: LogFormat, level: LogLevel, toJournal: boolean = isJournal()): Log {
  const renderLine = toJournal ? renderForJournal : renderText;
  const render = format === 'json' ? renderJson : renderLine;
  logToErrors((lines) =>
    escapeControls(render({ date: new Date(), type: 'warn', args: [lossText(lines), {}] })),
  );
  const write = (event: Rendered): void => writeError(`${escapeControls(render(event))}\n`);
  const consola = createConsola({
    level: levels[level],
    // Repeated lines are kept: each is an event.
    throttle: 0,
    reporters: [{ log: write }],
  });
  return {
    debug: logAs(consola, 'debug'),
    info: logAs(consola, 'info'),
    warn: logAs(consola, 'warn'),
    error: logAs(consola, 'error'),
    audit: (fields) => write({ date: new Date(), type: 'info', args: ['audit', fields] }),
    setLevel(next) {
      consola.level = levels[next];
    },
  };
}

function logAs(consola: ConsolaInstance, level: LogLevel): (message: string, fields?: LogFields) => void {
  return (message, fields = {}) => consola[level](message, fields);
}

type Event = [message: string, fields: LogFields];

type Rendered = Pick<LogObject, 'date' | 'type' | 'args'>;

function renderJson({ date, type, args }: Rendered): string {
  const [message, fields] = args as Event;
  return JSON.stringify({ time: date.toISOString(), level: type, message, ...fields });
}

function renderText(event: Rendered): string {
  return `${event.date.toISOString()} ${event.type} ${renderMessage(event)}`;
}

/** Severities as syslog numbers them (RFC 5424, section 6.2.1). */
const priorities: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

function renderForJournal(event: Rendered): string {
  return `<${priorities[event.type] ?? 6}>${renderMessage(event)}`;
}

function renderMessage({ args }: Rendered): string {
  const [message, fields] = args as Event;
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  return `${message}${known.map(([key, value]) => ` ${key}=${quote(String(value))}`).join('')}`;
}

// JSON escapes C0 alone; DEL and C1 (0x9b is another ESC [) would reach a terminal, and messages are no JSON.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function escapeControls(line: string): string {
  return line.replaceAll(control, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Whether standard error leads into systemd's journal. `JOURNAL_STREAM` names it by device and inode. */
function isJournal(): boolean {
  const stream = process.env['JOURNAL_STREAM'];
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(2);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** A value as it is, if it is one plain word; else as JSON. */
function quote(value: string): string {
  return /^[\w.:/@%+,[\]-]+$/.test(value) ? value : JSON.stringify(value);
}
