// What the others send: one consumer for each of their producers, all at the same time.

import { hasCode, toVoiceError, VoiceError } from './errors.js';
import { TRANSPORT_RETRIES, withRetries } from './policy.js';
import type { Consumed, ProducerInfo } from './protocol.js';
import { slotOf, type MediaSlot, type Roster } from './roster.js';
import type { AudioOutput } from './rtc/playback.js';
import type { RecvTransport, RemoteConsumer, Rtc } from './rtc/rtc.js';
import type { Signal } from './signal/signal.js';

export interface ReceivingContext {
  readonly signal: Signal;
  readonly roster: Roster;
  readonly audio: AudioOutput;
  readonly onProblem: (error: VoiceError) => void;
}

export class Receiving {
  readonly #consumers = new Map<string, { info: ProducerInfo; consumer: RemoteConsumer }>();
  /** By producer: what is being asked for or received, and the consumer's id as soon as it is known. */
  readonly #wanted = new Map<string, { consumerId?: string }>();
  /** Producers that failed in the browser, perhaps by another's fault: next time each alone. */
  readonly #suspects = new Set<string>();
  /** Producers that failed once more: they are left out, so that all others are heard. */
  readonly #refused = new Set<string>();
  #rtc: Rtc | undefined;
  #transport: RecvTransport | undefined;

  constructor(
    private readonly context: ReceivingContext,
    /** Aborts with the stay. */
    private readonly stay: AbortSignal,
    /** Puts another transport in the place of one that is broken, and opens it here. */
    private readonly renew: (rtc: Rtc) => Promise<void>,
  ) {}

  get all(): { info: ProducerInfo; consumer: RemoteConsumer }[] {
    return [...this.#consumers.values()];
  }

  /** The consumer of somebody's track, if it is received. */
  of(userId: string, slot: MediaSlot): RemoteConsumer | undefined {
    return this.all.find(({ info }) => info.userId === userId && slotOf(info) === slot)?.consumer;
  }

  /** From now on what is announced is received, and what the roster knows already. */
  open(rtc: Rtc, transport: RecvTransport): void {
    this.#rtc = rtc;
    this.#transport = transport;
    this.receiveAll();
  }

  /** What the roster knows and is not received yet: all at once, but for what failed before. */
  receiveAll(): void {
    const { producers } = this.context.roster;
    const suspect = ({ producerId }: ProducerInfo) => this.#suspects.has(producerId);
    const atOnce = producers.filter((info) => !suspect(info)).map((info) => this.receive(info));
    void Promise.all(atOnce).then(async () => {
      for (const info of producers.filter(suspect)) await this.receive(info);
    });
  }

  /** Receives a track; none waits for another. Never rejects. */
  async receive(info: ProducerInfo): Promise<void> {
    const { producerId } = info;
    const [rtc, transport] = [this.#rtc, this.#transport];
    // Before there is a transport the roster remembers it: `open` receives what it finds there.
    if (!rtc || !transport || this.#wanted.has(producerId) || this.#refused.has(producerId)) return;
    const wanted: { consumerId?: string } = {};
    this.#wanted.set(producerId, wanted);
    /** Whether nobody wants it any more, or it was begun anew on another transport. */
    const over = () => this.stay.aborted || this.#wanted.get(producerId) !== wanted;
    try {
      const payload = { producerId, transportId: transport.id, rtpCapabilities: rtc.recvCapabilities };
      const ask = () => this.context.signal.request('voice:rtc:consume', payload);
      const worthAnother = (error: unknown) => hasCode(error, 'TIMEOUT', 'RATE_LIMITED');
      const consumed = await withRetries(ask, TRANSPORT_RETRIES, worthAnother, this.stay);
      this.stay.throwIfAborted();
      wanted.consumerId = consumed.id;
      if (this.#transport !== transport) return;
      const consumer = await this.#take(transport, consumed);
      if (over() || !this.context.roster.producer(producerId)) return consumer.close();
      this.#consumers.set(producerId, { info, consumer });
      this.context.roster.setTrack(producerId, consumer.track);
      if (info.kind === 'audio') this.context.audio.add(consumer.id, info.userId, consumer.track);
    } catch (error) {
      if (this.stay.aborted) return;
      if (transport.broken && hasCode(error, 'INCOMPATIBLE')) {
        if (!this.#broke(producerId, rtc, transport)) return;
      } else if (over()) return;
      // NOT_FOUND: it was closed while we asked. DISCONNECTED: it is asked for again when the connection is back.
      if (!hasCode(error, 'NOT_FOUND', 'DISCONNECTED')) this.context.onProblem(toVoiceError(error));
    } finally {
      if (this.#wanted.get(producerId) === wanted && !this.#consumers.has(producerId)) this.#wanted.delete(producerId);
    }
  }

  drop(producerId: string): void {
    this.#wanted.delete(producerId);
    const entry = this.#consumers.get(producerId);
    if (!entry) return;
    this.#consumers.delete(producerId);
    entry.consumer.close();
    this.context.audio.remove(entry.consumer.id);
  }

  /** After a break: keeps what the server still has, and lets it forget what never arrived here. */
  reconcile(alive: readonly string[]): void {
    for (const [producerId, { consumer }] of [...this.#consumers]) if (!alive.includes(consumer.id)) this.drop(producerId);
    const known = new Set([...this.#wanted.values()].map(({ consumerId }) => consumerId));
    for (const consumerId of alive) if (!known.has(consumerId)) this.#forget(consumerId);
  }

  close(): void {
    for (const { consumer } of this.#consumers.values()) consumer.close();
    this.#consumers.clear();
    this.context.audio.clear();
  }

  /**
   * The browser took offence at something, and takes nothing more on this transport: all is received anew on another.
   * True when it was this producer for certain: it is left out from now on.
   */
  #broke(producerId: string, rtc: Rtc, transport: RecvTransport): boolean {
    const certain = this.#suspects.delete(producerId);
    (certain ? this.#refused : this.#suspects).add(producerId);
    // The first of those that failed together sees to the rest.
    if (this.#transport === transport) {
      this.#transport = undefined;
      for (const id of [...this.#consumers.keys()]) this.drop(id);
      this.#wanted.clear();
      void this.renew(rtc);
    }
    return certain;
  }

  /** What the browser cannot take, the server need not send. */
  async #take(transport: RecvTransport, consumed: Consumed): Promise<RemoteConsumer> {
    try {
      return await transport.consume(consumed);
    } catch (cause) {
      // With a broken transport all its consumers go.
      if (!this.stay.aborted && !transport.broken) this.#forget(consumed.id);
      throw new VoiceError('INCOMPATIBLE', 'The browser cannot receive this track.', {}, { cause });
    }
  }

  #forget(consumerId: string): void {
    this.context.signal.request('voice:rtc:closeConsumer', { consumerId }).catch(() => {});
  }
}
