import { isModuleKey } from '../../config/schema.ts';
import type { Call, Module, Reply } from '../../modules/module.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { isMethodName, isPrivate } from '../../protocol/messages/extension-frames.ts';
import { isBuiltIn } from '../../modules/built-in.ts';
import type { AccessKeys } from '../access/access-keys.ts';
import type { Audit } from '../audit/audit.ts';
import type { ModuleCalls } from '../module-calls.ts';
import { refuseForeignPage } from '../access/origin.ts';

/**
 * The one way to a module: every call of every module, built in or not, passes here (architecture, "One
 * door").
 */
export interface Dispatcher {
  /**
   * Checks that this key may call the module, and calls it.
   * @throws BrokerError `module_not_found`, `access_denied`, `too_many_requests`, `forbidden` for a private
   * method or a foreign page; any error of the module.
   */
  dispatch(module: string, method: string, key: () => string | undefined, call: Call): Promise<Reply> | Reply;
  /** The holder that a call counts for after {@link dispatch} has allowed it: see `AccessKeys`. */
  holderOf(module: string, key: () => string | undefined, call: Call): string | undefined;
  /** Whether a key that {@link dispatch} has allowed would still be: see `AccessKeys`. */
  opens(module: string, key: () => string | undefined): boolean;
  /** The name of a key in the audit trail: see `AccessKeys`. */
  nameOf(module: string, key: () => string | undefined): string | undefined;
}

export interface DispatcherOptions {
  /** The configuration: its top-level keys are the whitelist of modules. */
  readonly config: Readonly<Record<string, JsonObject>>;
  readonly accessKeys: AccessKeys;
  /** The module of a name that is built in, or that the embedding program passed; undefined without one. */
  readonly findModule: (name: string) => Module | undefined;
  /** The extension of a name; undefined when it is not installed. */
  readonly findExtension: (name: string) => Promise<Module | undefined>;
  /** Remembers the calls of modules that are not built in. */
  readonly calls: ModuleCalls;
  /** Host names that belong to this broker only: see `origin.ts`. */
  readonly ownNames: readonly string[];
  readonly audit: Audit;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { config, accessKeys, findModule, findExtension, audit, calls } = options;
  const enabled = new Set(Object.keys(config).filter(isModuleKey));

  const callExtension = async (name: string, method: string, call: Call): Promise<Reply> => {
    const extension = await findExtension(name);
    if (extension && isMethodName(method)) return extension.call(method, call);
    if (extension) {
      const given = JSON.stringify(method.slice(0, 40));
      throw new BrokerError(
        'not_found',
        `No method ${given}: a method is a letter, then letters, digits, '_', '-', '.'`,
      );
    }
    throw new BrokerError('module_not_found', `Module '${name}' is enabled, but not installed`);
  };

  /** Checks the call and returns its module, if it is not an extension. */
  const admit = (
    name: string,
    method: string,
    key: () => string | undefined,
    call: Call,
  ): Module | undefined => {
    if (!enabled.has(name)) {
      const remedy = isModuleKey(name)
        ? `a top-level key '${name}' in the broker's configuration enables it`
        : "it is a name of the broker's own, which no module can have";
      throw new BrokerError('module_not_found', `Module '${name}' is not enabled; ${remedy}`);
    }
    const module = findModule(name);
    // This comes before the key: a page must not use up the attempts of its reader. A read without a key
    // needs no check, since anyone may do it, and stays fast.
    const isOpen = call.httpMethod === 'GET' && !accessKeys.guards(name);
    if (!isOpen || !module?.isSafe?.(method)) refuseForeignPage(call, options.ownNames);
    accessKeys.check(name, key, call);
    if (isPrivate(method)) {
      const rule = "methods that begin with '_' cannot be called";
      throw new BrokerError('forbidden', `Method '${method}' is private: ${rule}`);
    }
    return module;
  };

  const run = (
    module: Module | undefined,
    name: string,
    method: string,
    call: Call,
  ): Promise<Reply> | Reply => {
    if (module && isBuiltIn(name)) return module.call(method, call);
    return calls.run(name, method, call, () =>
      module ? module.call(method, call) : callExtension(name, method, call),
    );
  };

  const audited = (
    name: string,
    method: string,
    key: () => string | undefined,
    call: Call,
  ): Promise<Reply> | Reply => {
    let module: Module | undefined;
    try {
      module = admit(name, method, key, call);
    } catch (error) {
      return turnAway(name, method, call, error);
    }
    // Built-in modules record their own changes.
    if (isBuiltIn(name)) return run(module, name, method, call);
    return audit.execute(name, method, call, () => run(module, name, method, call));
  };

  const turnAway = async (module: string, method: string, call: Call, error: unknown): Promise<never> => {
    const { clientAddress: source, requestId: request, params, origin } = call;
    // The key of a source that must wait is not read.
    const isLimited = error instanceof BrokerError && error.code === 'too_many_requests';
    await audit.refused(
      { source, request, module, method, params, key: isLimited ? undefined : origin?.key },
      error,
    );
    throw error;
  };

  return {
    dispatch(name, method, key, call) {
      if (audit.isOn) return audited(name, method, key, call);
      return run(admit(name, method, key, call), name, method, call);
    },
    holderOf: (module, key, call) => accessKeys.holderOf(module, key, call),
    opens: (module, key) => enabled.has(module) && accessKeys.opens(module, key()),
    nameOf: (module, key) => accessKeys.nameOf(module, key),
  };
}
