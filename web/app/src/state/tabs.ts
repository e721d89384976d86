// The windows of this browser: one of them is in a call, and another may want to go on with it.

import { randomDigits } from '../lib/random.js';

/** Which call it is. */
export interface CallOf {
  user: string;
  channel: string;
}

type Message = ({ kind: 'leave'; ask: string } & CallOf) | { kind: 'left'; ask: string };

/** A window that is there answers at once; its leave may take one round trip to the server. */
const ANSWER_MS = 3_000;

export class Tabs {
  readonly #channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('parlor') : undefined;
  readonly #asked = new Map<string, () => void>();

  /** `onLeave` leaves the call if it is this window's, and answers whether it was. */
  constructor(onLeave: (call: CallOf) => Promise<boolean>) {
    this.#channel?.addEventListener('message', ({ data }: MessageEvent<Message>) => {
      if (data.kind === 'left') return this.#asked.get(data.ask)?.();
      const { ask, user, channel } = data;
      void onLeave({ user, channel }).then((left) => left && this.#channel?.postMessage({ kind: 'left', ask } satisfies Message));
    });
  }

  /** Asks the window that is in the call to leave it. False when there is none: it is another browser then, or another device. */
  takeOver(call: CallOf): Promise<boolean> {
    const ask = randomDigits();
    return new Promise((resolve) => {
      const done = (left: boolean) => {
        clearTimeout(timer);
        this.#asked.delete(ask);
        resolve(left);
      };
      const timer = setTimeout(() => done(false), this.#channel ? ANSWER_MS : 0);
      this.#asked.set(ask, () => done(true));
      this.#channel?.postMessage({ kind: 'leave', ask, ...call } satisfies Message);
    });
  }
}
