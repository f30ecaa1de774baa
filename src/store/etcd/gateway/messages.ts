/** What etcd's JSON gateway sends, as far as it is read: numbers of 64 bits are text, bytes are base64, zeros are left out. */

export interface Header {
  readonly revision?: string;
}

export interface KeyValue {
  readonly key: string;
  readonly value?: string;
  readonly mod_revision?: string;
  readonly lease?: string;
}

export interface RangeResponse {
  readonly header: Header;
  readonly kvs?: readonly KeyValue[];
  readonly more?: boolean;
  readonly count?: string;
}

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded?: boolean;
  readonly responses?: readonly { readonly response_range?: RangeResponse }[];
}

export interface LeaseGrantResponse {
  readonly ID: string;
  readonly TTL: string;
}

export interface LeaseKeepAliveResponse {
  readonly ID: string;
  /** Left out, or 0, where the lease has ended. */
  readonly TTL?: string;
}

export interface StatusResponse {
  readonly version: string;
  /** Of the member's database, in bytes. */
  readonly dbSize?: string;
  /** Left out, or 0, where the member knows none. */
  readonly leader?: string;
  /** Alarms, as text. */
  readonly errors?: readonly string[];
}

export interface WatchEvent {
  /** Left out for a put. */
  readonly type?: 'PUT' | 'DELETE';
  readonly kv: KeyValue;
}

export interface WatchResponse {
  readonly header: Header;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  /** Of a watch that was to begin at a revision that has been compacted. */
  readonly compact_revision?: string;
  readonly events?: readonly WatchEvent[];
  /** More of the same follows. */
  readonly fragment?: boolean;
}

/** A message of a stream. */
export interface StreamMessage<T> {
  readonly result?: T;
  readonly error?: { readonly grpc_code?: number; readonly message?: string };
}

export const revisionOf = ({ revision }: Header): number => Number(revision ?? 0);
export const modRevisionOf = (kv: KeyValue | undefined): number => Number(kv?.mod_revision ?? 0);
