import { isObject, type Json, type JsonObject, mergeData } from '../protocol/data.ts';
import { checkEach, defaults } from './schema.ts';

/**
 * The configuration that a program gave, as the other layers have theirs: an option that is `undefined` was not given.
 * @throws BrokerError `invalid_config` naming `source` and the option that is wrong.
 */
export function givenConfig(config: object, source: string): JsonObject {
  const options = withoutUndefined(config as JsonObject);
  checkEach(mergeData(defaults, options), source);
  return options;
}

function withoutUndefined(options: Readonly<Record<string, Json | undefined>>): JsonObject {
  const given: Record<string, Json> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined) given[key] = isObject(value) ? withoutUndefined(value) : value;
  }
  return given;
}
