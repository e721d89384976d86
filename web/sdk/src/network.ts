// Whether there is a network at all, as the browser says.

/** What the browser knows of the network. Tests have another. */
export interface Network {
  /** False only when there is certainly none. */
  readonly online: boolean;
  /** Tells of each change; the answer ends that. */
  watch(handler: (online: boolean) => void): () => void;
}

/** A browser that knows nothing of its network is taken to have one. */
export const browserNetwork: Network = {
  get online() {
    return (globalThis.navigator as Partial<Navigator> | undefined)?.onLine ?? true;
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
