import { METRICS_SECTION } from '../../config/schema.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { VERSION } from '../../protocol/version.ts';
import { responsesOf, json, ref, responses, schemas } from './responses.ts';
import { type Operation, operations } from './operations.ts';
import { inputSchema } from './schemas.ts';

/** The parts of a broker that its document shows. */
export interface ApiDescription {
  /** Whether a module may be called. */
  isEnabled(module: string): boolean;
  /** Whether it asks for an access key. */
  guards(module: string): boolean;
  /**
   * Whether modules may be called that are not built in. The document does not name them: without a key,
   * nobody may see them.
   */
  readonly hasOthers: boolean;
  /** Whether any module that may be called asks for a key. */
  readonly isAnyGuarded: boolean;
  /** Whether it has an identity to show. */
  readonly hasIdentity: boolean;
}

/** The failures that every call can have. */
export const ofEveryCall: readonly number[] = [400, 401, 403, 404, 413, 429, 500];

/** The OpenAPI 3.1 document of a broker's API. */
export function openApiDocument(described: ApiDescription): JsonObject {
  const enabled = operations.filter(({ module }) => described.isEnabled(module));
  const modules = [...new Set(enabled.map(({ module }) => module))];
  return {
    openapi: '3.1.0',
    info: {
      title: 'bpbroker',
      version: VERSION,
      summary: 'Service broker for install scripts that span several servers',
      description:
        'The calls of the modules that are built in and enabled, and the pages about the broker. A failure comes in the same ' +
        'envelope as a success, with a stable `code`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // Relative to the document, so that it is right behind a proxy and under a path of another app too.
    servers: [{ url: '.' }],
    tags: [...modules, ...(described.hasOthers ? ['extensions'] : []), 'broker'].map((name) => ({ name })),
    paths: {
      ...Object.fromEntries(
        enabled.map((one) => [`/${one.module}/${one.method}`, methodItem(one, described)]),
      ),
      ...(described.hasOthers ? { '/{module}/{method}': otherItem } : {}),
      ...(described.hasIdentity ? { '/identity': identityItem } : {}),
      ...brokerItems,
      '/metrics': metricsItem(described),
      '/status': statusItem(described),
    },
    components: {
      schemas,
      responses,
      securitySchemes: {
        accessKey: {
          type: 'http',
          scheme: 'bearer',
          description: "The `_access_key` of the module's configuration",
        },
      },
    },
  };
}

function methodItem(operation: Operation, { guards }: ApiDescription): JsonObject {
  const { module, method, summary, params, docs, example, answer, failing } = operation;
  return {
    post: {
      operationId: `${module}${method}`,
      tags: [module],
      summary,
      security: guards(module) ? [{ accessKey: [] }] : [],
      requestBody: {
        required: true,
        content: { 'application/json': { schema: inputSchema(params, docs), example } },
      },
      responses: responsesOf(answer, [...ofEveryCall, ...failing]),
    },
  };
}

const segment = (name: string, description: string, example: string): JsonObject => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string' },
  example,
});

const otherItem: JsonObject = {
  post: {
    operationId: 'callExtension',
    tags: ['extensions'],
    summary: 'Calls a method of any other module that the configuration enables',
    security: [{ accessKey: [] }, {}],
    parameters: [
      segment('module', 'A top-level key of the configuration', 'ossec'),
      segment('method', "Not beginning with '_'", 'AddAgent'),
    ],
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: { type: 'object', properties: { data: {} }, additionalProperties: true },
          example: { data: 'web1' },
        },
      },
    },
    responses: responsesOf({ description: 'What the method returns', content: { '*/*': {} } }, [
      ...ofEveryCall,
      503,
      504,
    ]),
  },
};

const read = (operationId: string, summary: string, given: JsonObject): JsonObject => ({
  get: { operationId, tags: ['broker'], summary, security: [], responses: given },
});

const identityItem: JsonObject = read('identity', 'Which running broker this is', {
  '200': { description: 'Nothing of it is a secret', content: json(ref('schemas', 'Identity')) },
});

function metricsItem({ guards }: ApiDescription): JsonObject {
  const isGuarded = guards(METRICS_SECTION);
  const given = {
    description: 'The text format of Prometheus',
    content: { 'text/plain': { schema: { type: 'string' } } },
  };
  return {
    get: {
      operationId: 'metrics',
      tags: ['broker'],
      summary: 'The metrics',
      security: isGuarded ? [{ accessKey: [] }] : [],
      responses: responsesOf(given, isGuarded ? [401, 403, 429] : []),
    },
  };
}

function statusItem({ isAnyGuarded }: ApiDescription): JsonObject {
  const given = { description: 'What the key lets its holder see', content: json(ref('schemas', 'Status')) };
  return {
    get: {
      operationId: 'status',
      tags: ['broker'],
      summary: 'The last calls of modules that are not built in, and the brokers of the registry',
      // It answers without a key too, and with less.
      security: isAnyGuarded ? [{ accessKey: [] }, {}] : [],
      responses: responsesOf(given, isAnyGuarded ? [401, 403, 429] : [403]),
    },
  };
}

const brokerItems: JsonObject = {
  '/healthz': read('healthz', 'Whether the process serves', {
    '200': { description: 'It serves', content: json(ref('schemas', 'Alive')) },
  }),
  '/readyz': read('readyz', 'Whether the broker can do all of its work', {
    '200': { description: 'Every check is ok', content: json(ref('schemas', 'Readiness')) },
    '503': { description: 'A check failed', content: json(ref('schemas', 'Readiness')) },
  }),
  '/openapi.json': read('openapi', 'The OpenAPI document of the API', {
    '200': { description: 'OpenAPI 3.1', content: json({ type: 'object' }) },
  }),
};
