import { type CountOptions, createRegistry, type Registry } from '../../client/registry/registry.ts';
import type { Call, Module } from '../module.ts';
import { callServices } from './call-services.ts';

/**
 * The registry for a module within the broker, as calls of `services` in the name of `caller`. It lives as
 * long as that call: waits then end with the reason of the call's signal.
 */
export function ownRegistry(services: Module, caller: Call): Registry {
  const endingWith = (signal: AbortSignal | undefined): AbortSignal =>
    signal ? AbortSignal.any([caller.signal, signal]) : caller.signal;
  const registry = createRegistry({
    call: (_module, method, params, options) =>
      callServices(services, method, params, caller, options?.signal),
  });
  return {
    ...registry,
    register: (name, data, options = {}) =>
      registry.register(
        name,
        data,
        options.wait ? { ...options, signal: endingWith(options.signal) } : options,
      ),
    waitFor: (name, options = {}) =>
      registry.waitFor(name, { ...options, signal: endingWith(options.signal) }),
    waitForCount: ((count: number, prefix?: string, options?: CountOptions) =>
      registry.waitForCount(count, prefix, {
        ...options,
        signal: endingWith(options?.signal),
      })) as Registry['waitForCount'],
  };
}
