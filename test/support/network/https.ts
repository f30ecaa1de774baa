import { request } from 'node:https';

export interface HttpsCall {
  readonly port: number;
  /** Such as `/ossec/AddAgent`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** The address that the broker sees: on Linux any of 127.0.0.0/8 will do. */
  readonly from?: string;
}

/** One call of a broker on loopback as any HTTPS client makes it, over a connection of its own. */
export function post({ port, path, body, headers = {}, from }: HttpsCall): Promise<{
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method: 'POST',
      rejectUnauthorized: false,
      agent: false as const,
      headers: { 'content-type': 'application/json', ...headers },
      ...(from === undefined ? {} : { localAddress: from }),
    };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          contentType: response.headers['content-type'] ?? '',
          body: text,
        }),
      );
    });
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });
}
