import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../protocol/formats/data.ts';

let source: string | undefined;

/**
 * The command of the host for Python extensions: the interpreter that the module's `_python` names, by
 * default `python3` (on Windows `python`). The program is beside this file, inside an executable too, and is
 * passed as text.
 */
export function pythonHostCommand({ _python: chosen }: JsonObject): readonly string[] {
  source ??= readFileSync(new URL('./python-host.py', import.meta.url), 'utf8');
  const usual = process.platform === 'win32' ? 'python' : 'python3';
  return [typeof chosen === 'string' && chosen !== '' ? chosen : usual, '-c', source];
}
