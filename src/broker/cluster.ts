import { hostname } from 'node:os';
import type { Cluster, ClusterBroker } from '../api/status.ts';
import { isObject, parseObject } from '../protocol/formats/data.ts';
import { messageOf } from '../protocol/errors.ts';
import { VERSION } from '../protocol/version.ts';
import type { SharedRegistry } from './opening/broker-store.ts';

/** The brokers that serve one registry, this one among them. */
export interface ClusterView {
  /** This broker answers at `url` from now on. */
  announce(url: string): void;
  /** The brokers that serve it now; what was last known, and why, where that is unknown. Never rejects. */
  look(): Promise<Cluster>;
}

/** However many ask, etcd is asked at most so often. */
const LOOK_EVERY_MS = 1000;

/** @param instance tells this process from all others. */
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

/** Other versions, and others who may write there, say what they like: only texts count. */
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
