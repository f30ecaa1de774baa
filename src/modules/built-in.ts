import { isObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { hasFunctions, shown } from '../protocol/options.ts';
import type { Store } from '../store/store.ts';
import type { Module } from './module.ts';
import { ping } from './ping.ts';
import { createServices } from './services/services.ts';
import type { WaitObserver } from './services/wait.ts';

/** The modules that every broker has. */
export interface BuiltIn {
  readonly ping: Module;
  readonly services: Module;
}

const builtInNames: Readonly<Record<keyof BuiltIn, true>> = { ping: true, services: true };
const isModule = hasFunctions('call');

/** Whether a module is one that every broker has. */
export function isBuiltIn(name: string): boolean {
  return Object.hasOwn(builtInNames, name);
}

/** @param waits is notified of waits; default: nothing is. */
export function builtIn(store: Store, waits?: WaitObserver): BuiltIn {
  return { ping, services: createServices(store, waits) };
}

/**
 * Checks the modules that the embedding program passed to the function `caller`.
 * @throws BrokerError `invalid_config` for a value that is not a module, or has the name of a built-in one.
 */
export function checkOwnModules(caller: string, modules: Readonly<Record<string, unknown>>): void {
  for (const [name, module] of Object.entries(modules)) {
    if (!isModule(module)) {
      const problem = isObject(module) ? 'has no call()' : `is ${shown(module)}`;
      throw new BrokerError(
        'invalid_config',
        `${caller}: the option 'modules.${name}' ${problem}; expected a module, as defineModule() makes it`,
      );
    }
    if (isBuiltIn(name))
      throw new BrokerError('invalid_config', `Module '${name}' is built in; give yours another name`);
  }
}
