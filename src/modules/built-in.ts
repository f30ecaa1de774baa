import { BrokerError } from '../protocol/errors.ts';
import type { Store } from '../store/store.ts';
import type { Module } from './module.ts';
import { ping } from './ping.ts';
import { createServices } from './services/services.ts';

/** The modules that every broker has. */
export interface BuiltIn {
  readonly ping: Module;
  readonly services: Module;
}

const names: readonly (keyof BuiltIn)[] = ['ping', 'services'];

export function builtIn(store: Store): BuiltIn {
  return { ping, services: createServices(store) };
}

/**
 * Checks the modules of whoever embeds a broker.
 * @throws BrokerError `invalid_config` for one under the name of a module that is built in.
 */
export function checkOwnModules(modules: Readonly<Record<string, Module>>): void {
  const taken = names.find((name) => Object.hasOwn(modules, name));
  if (taken !== undefined) {
    throw new BrokerError('invalid_config', `Module '${taken}' is built in; give yours another name`);
  }
}
