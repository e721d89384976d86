// Camera and screen: on, off, or waiting for one of the channel's video slots.

import type { Call } from './call.js';
import { hasCode, toVoiceError, VoiceError } from './errors.js';
import type { Capability, SlotPosition, ToggleOutcome, VideoQueue } from './events.js';
import type { LocalMedia } from './local-media.js';
import type { Permissions, Pushes, Restrictions, Slot, VideoSource } from './protocol.js';
import type { MediaSlot } from './roster.js';
import type { Signal } from './signal/signal.js';

export interface VideosContext {
  readonly signal: Signal;
  readonly local: LocalMedia;
  readonly call: () => Call | undefined;
  readonly permissions: () => Permissions | undefined;
  /** Throws if a moderator has taken it away. */
  readonly demand: (restriction: keyof Restrictions) => void;
  /** Whether there is a stay, if only to come back to. */
  readonly staying: () => boolean;
  readonly onCapability: (capability: Capability) => void;
  readonly onQueue: (queue: VideoQueue) => void;
  readonly onGranted: (source: VideoSource) => void;
  readonly onProblem: (error: VoiceError) => void;
}

const CAPABILITY = { camera: 'VIDEO_CALLING', screen: 'SCREEN_SHARE' } as const;
const RESTRICTION = { camera: 'video', screen: 'screen' } as const;
const SOURCES = ['camera', 'screen'] as const;

function includes(permissions: Permissions, source: VideoSource): boolean {
  return source === 'camera' ? permissions.video : permissions.screenshare;
}

/** What the tier includes. */
export function capabilities(permissions: Permissions): Capability[] {
  return SOURCES.filter((source) => includes(permissions, source)).map((source) => CAPABILITY[source]);
}

export class Videos {
  readonly #busy = new Map<VideoSource, Promise<ToggleOutcome>>();
  readonly #waiting = new Map<VideoSource, SlotPosition>();
  /** Asked for a slot, and not answered yet: the turn may come before the answer is read. */
  readonly #asking = new Map<VideoSource, { granted: boolean; moved?: SlotPosition }>();

  constructor(private readonly context: VideosContext) {}

  /** The sources that wait, and their place in the queue. */
  get queue(): VideoQueue {
    return Object.fromEntries(this.#waiting);
  }

  /** A track that is sent. One that waits for a slot is open, perhaps, but nobody sees it. */
  sent(source: VideoSource): MediaStreamTrack | undefined {
    return this.#waiting.has(source) ? undefined : this.context.local.track(source);
  }

  /** On, off, or out of the queue. */
  toggle(source: VideoSource): Promise<ToggleOutcome> {
    return this.#exclusive(source, async () => {
      if (this.#waiting.has(source) || this.context.local.track(source)) {
        this.drop(source);
        return true;
      }
      const permissions = this.context.permissions();
      if (!permissions || !includes(permissions, source)) {
        this.context.onCapability(CAPABILITY[source]);
        return false;
      }
      this.context.demand(RESTRICTION[source]);
      await this.#open(source);
      return this.#start(source);
    });
  }

  /** Stops sending, closes the device, and gives up a place in the queue. */
  drop(source: MediaSlot, tellServer = true): void {
    const slots: MediaSlot[] = source === 'screen' ? ['screen', 'screenAudio'] : [source];
    if ((source === 'camera' || source === 'screen') && this.#waiting.delete(source)) {
      if (tellServer) this.#release(source);
      this.#queueChanged();
    }
    for (const slot of slots) {
      this.context.call()?.sending.close(slot, tellServer);
      this.context.local.stop(slot);
    }
  }

  /**
   * Whether what is not sent any more since the connection broke stays open: its slot was given on to somebody who waited, and
   * the restoration asks for another. What was taken away on purpose is dropped by whoever learns that.
   */
  keeps(slot: MediaSlot): boolean {
    // The sound of a screen is not heard without its picture.
    if (slot === 'screen') this.context.call()?.sending.close('screenAudio');
    return slot === 'camera' || slot === 'screen';
  }

  /** Stops what the tier does not include any more. The server has done so on its side. */
  enforce(permissions: Permissions): void {
    for (const source of SOURCES) if (!includes(permissions, source)) this.drop(source, false);
  }

  /** It is the user's turn: what was waiting begins by itself. Who has cancelled has released the slot already. */
  granted({ source }: Pick<Pushes['voice:slot:granted'], 'source'>): void {
    const asking = this.#asking.get(source);
    if (asking) return void (asking.granted = true);
    const running = this.#busy.get(source);
    if (running) return void running.catch(() => {}).then(() => this.granted({ source }));
    if (!this.#waiting.has(source)) return;
    const begin = async () => {
      this.#stopWaiting(source);
      this.context.onGranted(source);
      // The camera was off while it waited; the screen was chosen by hand, which cannot be done again by itself.
      if (source === 'camera') await this.#open(source);
      return this.#start(source, true);
    };
    this.#exclusive(source, begin).catch((error) => {
      this.#release(source);
      this.context.onProblem(toVoiceError(error));
    });
  }

  moved({ source, position, current, max }: Pushes['voice:slot:queue']): void {
    const asking = this.#asking.get(source);
    if (asking) asking.moved = { position, current, max };
    if (!this.#waiting.has(source)) return;
    this.#waiting.set(source, { position, current, max });
    this.#queueChanged();
  }

  /** After the connection broke: what was on is on again, and what waited, or lost its slot, waits again, at the back. */
  async restore(): Promise<void> {
    const call = this.context.call();
    for (const source of SOURCES) {
      try {
        await this.#exclusive(source, () => this.#restore(source, call));
      } catch (error) {
        if (!call || call.closed) throw error;
        // A further break: the next restoration sees to it.
        if (hasCode(error, 'DISCONNECTED')) continue;
        this.drop(source);
        this.context.onProblem(toVoiceError(error));
      }
    }
  }

  async #restore(source: VideoSource, call: Call | undefined): Promise<ToggleOutcome> {
    if (this.#waiting.has(source)) return this.#wait(source);
    if (!this.context.local.track(source) || call?.sending.producers.has(source)) return true;
    return this.#start(source);
  }

  /** Out of the channel: nobody waits any more. */
  clear(): void {
    if (this.#waiting.size === 0) return;
    this.#waiting.clear();
    this.#queueChanged();
  }

  /** A second click waits for the first one's result instead of racing it. */
  #exclusive(source: VideoSource, action: () => Promise<ToggleOutcome>): Promise<ToggleOutcome> {
    const running = this.#busy.get(source);
    if (running) return running;
    const started = action().finally(() => this.#busy.delete(source));
    this.#busy.set(source, started);
    return started;
  }

  async #open(source: VideoSource): Promise<void> {
    await (source === 'camera' ? this.context.local.openCamera() : this.context.local.openScreen());
  }

  /** Sends tracks that are open; waits for a slot where there is none; stops them if the server refuses. */
  async #start(source: VideoSource, hasSlot = false): Promise<ToggleOutcome> {
    const { local, staying, onCapability } = this.context;
    const call = this.context.call();
    const slots: MediaSlot[] = source === 'screen' ? ['screen', 'screenAudio'] : [source];
    try {
      for (const slot of slots) {
        const track = local.track(slot);
        // Without a call at the moment: the rejoin sends what is open.
        if (track && call && !call.sending.producers.has(slot)) await call.sending.produce(slot, track);
      }
      return true;
    } catch (error) {
      // The connection broke meanwhile: the tracks are sent again after it is restored.
      if ((hasCode(error, 'DISCONNECTED') || call?.closed) && staying()) return true;
      if (hasCode(error, 'VIDEO_LIMIT_REACHED') && !hasSlot) return this.#waitInstead(source, error);
      this.drop(source);
      if (!hasCode(error, 'CAPABILITY_REQUIRED')) throw error;
      onCapability(CAPABILITY[source]);
      return false;
    }
  }

  async #waitInstead(source: VideoSource, full: VoiceError): Promise<ToggleOutcome> {
    try {
      return await this.#wait(source);
    } catch (error) {
      this.drop(source);
      // A server without a queue.
      throw hasCode(error, 'UNKNOWN_EVENT') ? full : error;
    }
  }

  /** Gets in line; goes on at once if a slot has become free. */
  async #wait(source: VideoSource): Promise<ToggleOutcome> {
    const asking: { granted: boolean; moved?: SlotPosition } = { granted: false };
    this.#asking.set(source, asking);
    let slot: Slot;
    try {
      slot = await this.context.signal.request('voice:slot:request', { source });
    } finally {
      if (this.#asking.get(source) === asking) this.#asking.delete(source);
    }
    if (slot.status === 'granted' || asking.granted) {
      this.#stopWaiting(source);
      if (!this.context.local.track(source)) await this.#open(source);
      return this.#start(source, true);
    }
    // The person chose the screen by hand; a camera can be opened again, and its light is off meanwhile.
    if (source === 'camera') this.context.local.stop('camera');
    else if (!this.context.local.track('screen')) {
      // Sharing was ended while the server was asked.
      this.#release(source);
      return true;
    }
    this.#waiting.set(source, asking.moved ?? { position: slot.position ?? 1, current: slot.current, max: slot.max });
    this.#queueChanged();
    return 'queued';
  }

  #stopWaiting(source: VideoSource): void {
    if (this.#waiting.delete(source)) this.#queueChanged();
  }

  /** If it fails, there was nothing to give back. */
  #release(source: VideoSource): void {
    this.context.signal.request('voice:slot:release', { source }).catch(() => {});
  }

  #queueChanged(): void {
    this.context.onQueue(this.queue);
  }
}
