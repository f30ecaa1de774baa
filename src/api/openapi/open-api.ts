import { isModuleKey } from '../../config/schema.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import type { AccessKeys } from '../access/access-keys.ts';

export interface OpenApiOptions {
  /** The configuration: its top-level keys are the whitelist of modules. */
  readonly config: Readonly<Record<string, JsonObject>>;
  readonly accessKeys: Pick<AccessKeys, 'guards'>;
  /** Whether the API has an `/identity`. */
  readonly hasIdentity: boolean;
}

const builtInNames: ReadonlySet<string> = new Set(['ping', 'services']);

/** The text of `/openapi.json`. The first request makes it, and loads the code for it. */
export function createOpenApi({ config, accessKeys, hasIdentity }: OpenApiOptions): () => Promise<string> {
  const enabled = Object.keys(config).filter(isModuleKey);
  let text: Promise<string> | undefined;
  async function make(): Promise<string> {
    const { openApiDocument } = await import('./document.ts');
    return JSON.stringify(
      openApiDocument({
        isEnabled: (module) => enabled.includes(module),
        guards: (module) => accessKeys.guards(module),
        hasOthers: enabled.some((module) => !builtInNames.has(module)),
        isAnyGuarded: enabled.some((module) => accessKeys.guards(module)),
        hasIdentity,
      }),
    );
  }
  return () => {
    text ??= make().catch((error: unknown) => {
      // The reason of the failure may be gone at the next request, such as too many open files.
      text = undefined;
      throw error;
    });
    return text;
  };
}
