/**
 * Whether a value is the URL of a member of an etcd cluster: `http` or `https`, host and port, and nothing
 * more.
 */
export function isEndpoint(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(value);
  return (
    /^https?:$/.test(protocol) &&
    pathname === '/' &&
    [username, password, search, hash].every((part) => part === '')
  );
}

/** The prefix of a registry in etcd to which none is given. */
export const DEFAULT_PREFIX = '/bpbroker/';

/**
 * Whether a value can be the beginning of the keys of a registry in etcd. It ends with `/`: '/a/' must not
 * begin '/ab/'.
 */
export function isPrefix(value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.endsWith('/') && value.isWellFormed();
}
