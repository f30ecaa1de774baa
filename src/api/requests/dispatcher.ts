import { isModuleKey } from '../../config/schema.ts';
import type { Call, Module, Reply } from '../../modules/module.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { isMethodName, isPrivate } from '../../protocol/messages/extension.ts';
import { isBuiltIn } from '../../modules/built-in.ts';
import type { AccessKeys } from '../access/access-keys.ts';
import type { Audit } from '../audit/audit.ts';
import type { ModuleCalls } from '../module-calls.ts';
import { refuseForeignPage } from '../access/origin.ts';

/** The one door: every call of every module, built in or not, passes here (architecture, "One door"). */
export interface Dispatcher {
  /**
   * Checks that the module may be called with this key, and calls it.
   * @throws BrokerError `module_not_found`, `access_denied`, `too_many_requests`, `forbidden` for a private method or a foreign page, or
   *   what the module throws.
   */
  dispatch(module: string, method: string, key: () => string | undefined, call: Call): Promise<Reply> | Reply;
  /** Who a call that {@link dispatch} let pass counts for: see `AccessKeys`. */
  holderOf(module: string, key: () => string | undefined, call: Call): string | undefined;
  /** What the audit trail calls a key: see `AccessKeys`. */
  nameOf(module: string, key: () => string | undefined): string | undefined;
}

export interface DispatcherOptions {
  /** The configuration: its top-level keys are the whitelist of modules. */
  readonly config: Readonly<Record<string, JsonObject>>;
  readonly accessKeys: AccessKeys;
  /** The module of a name that is built in or was given by the program that embeds the broker, or nothing. */
  readonly findModule: (name: string) => Module | undefined;
  /** The extension of a name, or nothing when none is installed. */
  readonly findExtension: (name: string) => Promise<Module | undefined>;
  /** Remembers the calls of modules that are not built in. */
  readonly calls: ModuleCalls;
  /** Host names that only this broker has: see `origin.ts`. */
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

  /** The module that may be called, if it is none that is looked up as it is called. */
  const admit = (
    name: string,
    method: string,
    key: () => string | undefined,
    call: Call,
  ): Module | undefined => {
    if (!enabled.has(name)) {
      throw new BrokerError(
        'module_not_found',
        `Module '${name}' is not enabled; a top-level key '${name}' in the broker's configuration enables it`,
      );
    }
    const module = findModule(name);
    // Before the key: a page must not use up the attempts of whoever looks at it. Reading without a key is no more than
    // anyone may do, and stays as quick as it was.
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
    // Those that are built in know by themselves what they change.
    if (isBuiltIn(name)) return run(module, name, method, call);
    return audit.execute(name, method, call, () => run(module, name, method, call));
  };

  const turnAway = async (module: string, method: string, call: Call, error: unknown): Promise<never> => {
    const { clientAddress: source, requestId: request, params, origin } = call;
    // The key of a source that is held up is not looked at.
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
    nameOf: (module, key) => accessKeys.nameOf(module, key),
  };
}
