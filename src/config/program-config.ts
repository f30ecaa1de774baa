import { isObject, type Json, type JsonObject, mergeData } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { checkEach, defaults } from './schema.ts';

/**
 * The configuration that a program passed, in the form of the other layers: an option that is `undefined`
 * counts as absent.
 * @throws BrokerError `invalid_config` naming `source` and the wrong option. An access key that is
 * `undefined` is wrong: it was meant to have a value, and without it the module would be open.
 */
export function programConfig(config: object, source: string): JsonObject {
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
