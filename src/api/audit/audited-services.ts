import type { Module } from '../../modules/module.ts';
import type { Audit } from './audit.ts';

/**
 * The module `services` with an audit trail of its writes, whether a request makes them or an extension for
 * its caller.
 */
export function auditedServices(services: Module, audit: Pick<Audit, 'isOn' | 'write'>): Module {
  return {
    ...services,
    call(method, call) {
      if (!audit.isOn || services.isSafe?.(method)) return services.call(method, call);
      return audit.write(method, call, () => services.call(method, call));
    },
  };
}
