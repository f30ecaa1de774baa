import { isObject, type Json, type JsonObject, mergeData } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { checkEach, defaults } from './schema.ts';

/**
 * The configuration that a program gave, as the other layers have theirs: an option that is `undefined` was not given.
 * @throws BrokerError `invalid_config` naming `source` and the option that is wrong. An access key that is `undefined` is: it
 *   was to come from somewhere, and the module would be open without it.
 */
export function givenConfig(config: object, source: string): JsonObject {
  const options = withoutUndefined(config as Options, source);
  checkEach(mergeData(defaults, options), source);
  return options;
}

type Options = Readonly<Record<string, Json | undefined>>;

function withoutUndefined(options: Options, source: string, prefix = ''): JsonObject {
  const given: Record<string, Json> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined) {
      given[key] = isObject(value) ? withoutUndefined(value, source, `${prefix}${key}.`) : value;
    } else if (key === '_access_key') {
      throw new BrokerError(
        'invalid_config',
        `${source}: option ${prefix}${key}: it is undefined; give a key, or '' for none`,
      );
    }
  }
  return given;
}
