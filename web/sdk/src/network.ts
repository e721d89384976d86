// The network as the browser sees it: whether there is one at all, and of which kind.

import type { Requests } from './protocol.js';

/** What kind of network it is. */
export type NetworkType = NonNullable<Requests['voice:rtc:reportConnection']['payload']['network']>;

const TYPES: readonly NetworkType[] = ['bluetooth', 'cellular', 'ethernet', 'wifi', 'wimax', 'other', 'none'];
const SPEEDS: readonly NetworkType[] = ['slow-2g', '2g', '3g', '4g'];

/** What the browser knows of the network. Tests have another. */
export interface Network {
  /** False only when there is certainly none. */
  readonly online: boolean;
  /** Its type; where that is not known, how fast it is. */
  readonly type: NetworkType;
  /** Tells of each change; the answer ends that. */
  watch(handler: (online: boolean) => void): () => void;
}

/** The Network Information API, where a browser has it. */
interface Information {
  type?: string;
  effectiveType?: string;
}

/** A browser that knows nothing of its network is taken to have one. */
export const browserNetwork: Network = {
  get online() {
    return (globalThis.navigator as Partial<Navigator> | undefined)?.onLine ?? true;
  },
  get type() {
    const found = (globalThis.navigator as (Partial<Navigator> & { connection?: Information }) | undefined)?.connection;
    const named = TYPES.find((type) => type === found?.type) ?? (found?.type === 'mixed' ? 'other' : undefined);
    return named ?? SPEEDS.find((speed) => speed === found?.effectiveType) ?? 'unknown';
  },
  watch(handler) {
    if (typeof globalThis.addEventListener !== 'function') return () => {};
    const [went, came] = [() => handler(false), () => handler(true)];
    globalThis.addEventListener('offline', went);
    globalThis.addEventListener('online', came);
    return () => {
      globalThis.removeEventListener('offline', went);
      globalThis.removeEventListener('online', came);
    };
  },
};
