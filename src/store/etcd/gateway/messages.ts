/**
 * The used messages of etcd's JSON gateway: numbers of 64 bits are text, bytes are base64, zeros are left
 * out.
 */

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
  /** Absent, or 0, where the lease has ended. */
  readonly TTL?: string;
}

export interface StatusResponse {
  readonly version: string;
  /** The size of the member's database, in bytes. */
  readonly dbSize?: string;
  /** Absent, or 0, where the member knows none. */
  readonly leader?: string;
  /** Alarms, as text. */
  readonly errors?: readonly string[];
}

export interface WatchEvent {
  /** Absent for a put. */
  readonly type?: 'PUT' | 'DELETE';
  readonly kv: KeyValue;
}

export interface WatchResponse {
  readonly header: Header;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  /** Set for a watch whose first revision has been compacted. */
  readonly compact_revision?: string;
  readonly events?: readonly WatchEvent[];
  /** Whether more of the same message follows. */
  readonly fragment?: boolean;
}

/** A message of a stream. */
export interface StreamMessage<T> {
  readonly result?: T;
  readonly error?: { readonly grpc_code?: number; readonly message?: string };
}

export const revisionOf = ({ revision }: Header): number => Number(revision ?? 0);
export const modRevisionOf = (kv: KeyValue | undefined): number => Number(kv?.mod_revision ?? 0);
