import { hostname } from 'node:os';
import type { Cluster, ClusterBroker } from '../api/status.ts';
import { isObject, parseObject } from '../protocol/formats/data.ts';
import { messageOf } from '../protocol/errors.ts';
import { VERSION } from '../protocol/version.ts';
import type { SharedRegistry } from './opening/broker-store.ts';

/** The brokers that serve one registry, including this one. */
export interface ClusterView {
  /** Announces that this broker answers at `url`. */
  announce(url: string): void;
  /**
   * The brokers that serve it now; the last known ones, and the reason, where that is unknown. It never
   * rejects.
   */
  look(): Promise<Cluster>;
}

/** The shortest pause between two requests to etcd, in milliseconds, however many callers there are. */
const LOOK_EVERY_MS = 1000;

/** @param instance identifies this process. */
export function createCluster(shared: SharedRegistry, instance: string): ClusterView {
  let looking: Promise<Cluster> | undefined;
  let until = -Infinity;
  let known: readonly ClusterBroker[] = [];

  async function lookNow(): Promise<Cluster> {
    try {
      const texts = await shared.members();
      known = texts.flatMap((text) => readBroker(text, instance));
      return { brokers: known };
    } catch (error) {
      return { brokers: known, problem: messageOf(error) };
    } finally {
      until = performance.now() + LOOK_EVERY_MS;
    }
  }

  return {
    announce(url) {
      const about = { instance, url, host: hostname(), version: VERSION, since: new Date().toISOString() };
      shared.join(instance, JSON.stringify(about));
    },
    look() {
      if (looking === undefined || performance.now() >= until) {
        until = Infinity;
        looking = lookNow();
      }
      return looking;
    },
  };
}

/** Other versions, and other programs with access to etcd, may write anything: only texts count. */
function readBroker(text: string, own: string): ClusterBroker[] {
  const about = parseObject(text);
  if (!isObject(about)) return [];
  const { instance, url, host, version, since } = about;
  const texts = [instance, url, host, version, since];
  if (!texts.every((one) => typeof one === 'string' && one.length <= MAX_LENGTH)) return [];
  const [a, b, c, d, e] = texts as [string, string, string, string, string];
  return [{ instance: a, url: b, host: c, version: d, since: e, self: a === own }];
}

const MAX_LENGTH = 300;
