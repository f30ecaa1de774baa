import { singleFlight } from '../mirror/single-flight.ts';

/**
 * The user's token, where etcd asks for one. Simple tokens end after five minutes without use, and with their
 * member.
 */
export interface Session {
  /** The headers that identify the user. */
  headers(): Promise<Readonly<Record<string, string>>>;
  /** Forgets a rejected token: the next request gets a new one. */
  forget(headers: Readonly<Record<string, string>>): void;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** @param authenticate asks etcd for a token. */
export function createSession(
  credentials: Credentials | undefined,
  authenticate: (credentials: Credentials) => Promise<string>,
): Session {
  let known: Readonly<Record<string, string>> | undefined;
  const renew = singleFlight(async () => {
    // An earlier caller may have it by now.
    if (known === undefined && credentials !== undefined) {
      known = { authorization: await authenticate(credentials) };
    }
    return known ?? {};
  });
  return {
    headers: async () => (credentials === undefined ? {} : (known ?? (await renew()))),
    forget(headers) {
      if (known === headers) known = undefined;
    },
  };
}
