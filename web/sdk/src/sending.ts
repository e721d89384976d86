// What the user sends: one producer for each of their own tracks.

import { VoiceError } from './errors.js';
import type { LocalMedia } from './local-media.js';
import type { MachineEvent } from './machine.js';
import type { CloseReason, Permissions, Source } from './protocol.js';
import type { MediaSlot } from './roster.js';
import type { LocalProducer, SendTransport, VideoCodec } from './rtc/rtc.js';
import type { Signal } from './signal/signal.js';

export interface SendingContext {
  readonly signal: Signal;
  readonly local: LocalMedia;
  readonly videoCodec: VideoCodec;
  /** Whether nothing of it may be heard or seen: muted by oneself or by a moderator. */
  readonly silenced: (slot: MediaSlot) => boolean;
  readonly dispatch: (event: MachineEvent) => boolean;
  /** A producer was closed by the server or the device; `meanwhile` while the connection was lost. */
  readonly onProducerLost: (slot: MediaSlot, reason?: CloseReason, meanwhile?: boolean) => void;
}

const PRODUCED: Partial<Record<MediaSlot, MachineEvent>> = { mic: 'micProduced', camera: 'cameraProduced', screen: 'screenProduced' };
const CLOSED: Partial<Record<MediaSlot, MachineEvent>> = { mic: 'micClosed', camera: 'cameraClosed', screen: 'screenClosed' };

export class Sending {
  readonly #producers = new Map<MediaSlot, LocalProducer>();
  #transport: SendTransport | undefined;
  #maxBitrate = 0;
  /** Settles when the server has our side of the transport. */
  connected: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: SendingContext,
    /** Aborts with the stay. */
    private readonly stay: AbortSignal,
  ) {}

  get producers(): ReadonlyMap<MediaSlot, LocalProducer> {
    return this.#producers;
  }

  open(transport: SendTransport): void {
    this.#transport = transport;
  }

  /** What the tier allows changed: less may be sent from now on, or more. */
  setPermissions({ maxBitrate }: Permissions): void {
    if (this.#maxBitrate === maxBitrate) return;
    this.#maxBitrate = maxBitrate;
    this.#producers.get('mic')?.setMaxBitrate(maxBitrate);
  }

  /** Sends a track. Rejects with what the server refused it for; the track is the caller's to stop then. */
  async produce(slot: MediaSlot, track: MediaStreamTrack): Promise<void> {
    const { videoCodec, silenced, local, dispatch } = this.context;
    if (!this.#transport) throw new VoiceError('INVALID_STATE', 'There is no channel to send to yet.');
    const source: Source = slot === 'screenAudio' ? 'screen' : slot;
    const maxBitrate = this.#maxBitrate;
    const producer = await this.#transport.produce({ track, source, paused: silenced(slot), maxBitrate, videoCodec });
    await this.connected;
    this.stay.throwIfAborted();
    this.#producers.set(slot, producer);
    // The device may have gone away while the server was asked: a track that ended is not sent for ever.
    if (local.track(slot) !== track) return this.close(slot);
    // The permissions may have changed while the server was asked.
    this.refresh();
    if (slot === 'mic' && maxBitrate !== this.#maxBitrate) producer.setMaxBitrate(this.#maxBitrate);
    const event = PRODUCED[slot];
    if (event) dispatch(event);
  }

  /** Pauses and resumes what is to be silent or not. The server enforces it; this saves sending in vain. */
  refresh(): void {
    for (const [slot, producer] of this.#producers) {
      if (this.context.silenced(slot)) producer.pause();
      else producer.resume();
    }
  }

  /** Stops sending a track; the server is told unless it said so itself. */
  close(slot: MediaSlot, tellServer = true): void {
    const producer = this.#producers.get(slot);
    if (!producer) return;
    this.#producers.delete(slot);
    producer.close();
    const event = CLOSED[slot];
    if (event) this.context.dispatch(event);
    if (tellServer) this.#forget(producer.id);
  }

  /** The server has closed it. */
  closed(producerId: string, reason?: CloseReason, meanwhile = false): void {
    for (const [slot, producer] of [...this.#producers]) {
      if (producer.id !== producerId) continue;
      this.close(slot, false);
      this.context.onProducerLost(slot, reason, meanwhile);
    }
  }

  /** After a break: what the server closed meanwhile is closed here, and what it made without our knowing, there. */
  reconcile(alive: readonly string[]): void {
    const own = [...this.#producers.values()].map(({ id }) => id);
    for (const id of alive) if (!own.includes(id)) this.#forget(id);
    for (const id of own) if (!alive.includes(id)) this.closed(id, undefined, true);
  }

  closeAll(): void {
    for (const producer of this.#producers.values()) producer.close();
    this.#producers.clear();
  }

  /** If it fails, the server has closed it already or closes it with the session. */
  #forget(producerId: string): void {
    this.context.signal.request('voice:rtc:closeProducer', { producerId }).catch(() => {});
  }
}
