import type { ConsolaInstance, LogObject } from 'consola';
import { createConsola } from 'consola/basic';
import type { LogFields, Logger } from '../protocol/logger.ts';
import { writeError } from './terminal.ts';

export type LogFormat = 'text' | 'json';
const levels = { error: 0, warn: 1, info: 3, debug: 4 } as const;
export type LogLevel = keyof typeof levels;

/**
 * The broker's log, on standard error: one line an event, as text (`2026-01-31T12:00:00.000Z warn message key=value`) or
 * as JSON. Control characters never reach it raw.
 */
export function createLog(format: LogFormat, level: LogLevel): Logger {
  const render = format === 'json' ? renderJson : renderText;
  const consola = createConsola({
    level: levels[level],
    // Repeated lines count: each is an event.
    throttle: 0,
    reporters: [{ log: (event) => writeError(`${render(event)}\n`) }],
  });
  return {
    debug: logAs(consola, 'debug'),
    info: logAs(consola, 'info'),
    warn: logAs(consola, 'warn'),
    error: logAs(consola, 'error'),
  };
}

function logAs(consola: ConsolaInstance, level: LogLevel): (message: string, fields?: LogFields) => void {
  return (message, fields = {}) => consola[level](message, fields);
}

type Event = [message: string, fields: LogFields];

function renderJson({ date, type, args }: LogObject): string {
  const [message, fields] = args as Event;
  return escapeControls(JSON.stringify({ time: date.toISOString(), level: type, message, ...fields }));
}

function renderText({ date, type, args }: LogObject): string {
  const [message, fields] = args as Event;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(String(value))}`);
  return escapeControls(`${date.toISOString()} ${type} ${message}${pairs.join('')}`);
}

// JSON escapes C0 alone; DEL and C1 (0x9b is another ESC [) would reach a terminal, and messages are no JSON.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function escapeControls(line: string): string {
  return line.replaceAll(control, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value as it is where it is one plain word, else as JSON. */
function quote(value: string): string {
  return /^[\w.:/@%+,[\]-]+$/.test(value) ? value : JSON.stringify(value);
}
