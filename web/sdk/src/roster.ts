// The participants of the channel, what they send, and which of it is received.

import type { ParticipantState, ProducerInfo, Role, Source, Speaker, WireParticipant } from './protocol.js';

/** What a track is for. Sound that comes with a screen is told apart from its picture. */
export type MediaSlot = Source | 'screenAudio';

/** A track that is received. */
export interface ReceivedMedia {
  readonly track: MediaStreamTrack;
  /** Nothing is sent at the moment. */
  readonly paused: boolean;
}

/** Somebody else in the channel, as they are now. */
export interface Participant extends Readonly<ParticipantState> {
  readonly userId: string;
  readonly name: string;
  readonly role: Role;
  /** May mute, remove and move others here. */
  readonly moderator: boolean;
  readonly media: Readonly<Partial<Record<MediaSlot, ReceivedMedia>>>;
}

interface Entry {
  wire: WireParticipant;
  producers: Map<string, ProducerInfo>;
  tracks: Map<string, MediaStreamTrack>;
}

/** What a look at how things are now has brought. */
export interface Changes {
  joined: Participant[];
  left: Participant[];
  /** Producers that are no more. */
  closed: string[];
}

/** The slot a producer's track goes into. */
export function slotOf({ kind, appData: { source } }: Pick<ProducerInfo, 'kind' | 'appData'>): MediaSlot {
  return source === 'screen' && kind === 'audio' ? 'screenAudio' : source;
}

/** Holds the others; its owner is told after each change. */
export class Roster {
  readonly #entries = new Map<string, Entry>();
  #speakers: readonly Speaker[] = [];

  constructor(private readonly onChange: () => void = () => {}) {}

  /** Everybody else, in the order they came. */
  get participants(): Participant[] {
    return [...this.#entries.values()].map((entry) => this.#view(entry));
  }

  /** The participants who are heard, loudest first, the user included. */
  get speakers(): readonly Speaker[] {
    return this.#speakers;
  }

  get producers(): ProducerInfo[] {
    return [...this.#entries.values()].flatMap((entry) => [...entry.producers.values()]);
  }

  get(userId: string): Participant | undefined {
    const entry = this.#entries.get(userId);
    return entry && this.#view(entry);
  }

  producer(producerId: string): ProducerInfo | undefined {
    return this.#owner(producerId)?.producers.get(producerId);
  }

  /** Starts anew with what a join reply says. */
  fill(participants: readonly WireParticipant[]): void {
    this.#entries.clear();
    this.#speakers = [];
    for (const wire of participants) this.#put(wire);
    this.onChange();
  }

  /** Takes over how things are now; what is received of producers that live on stays. Says who and what came and went. */
  reconcile(participants: readonly WireParticipant[]): Changes {
    const before = new Map(this.#entries);
    this.#entries.clear();
    for (const wire of participants) {
      const { producers, tracks } = this.#put(wire);
      for (const [id, track] of before.get(wire.userId)?.tracks ?? []) if (producers.has(id)) tracks.set(id, track);
    }
    this.onChange();
    const closed = [...before.values()].flatMap(({ producers }) => [...producers.keys()]).filter((id) => !this.producer(id));
    return {
      closed,
      left: [...before].filter(([userId]) => !this.#entries.has(userId)).map(([, entry]) => this.#view(entry)),
      joined: this.participants.filter(({ userId }) => !before.has(userId)),
    };
  }

  /** The connection broke: the people stay in view, what they sent is gone. */
  dropMedia(): void {
    this.#speakers = [];
    for (const entry of this.#entries.values()) {
      entry.producers.clear();
      entry.tracks.clear();
    }
    this.onChange();
  }

  clear(): void {
    this.fill([]);
  }

  add(wire: WireParticipant): Participant {
    const entry = this.#put(wire);
    this.onChange();
    return this.#view(entry);
  }

  /** Takes somebody out, and says who it was and what they sent. */
  remove(userId: string): { participant: Participant; producerIds: string[] } | undefined {
    const entry = this.#entries.get(userId);
    if (!entry) return undefined;
    const removed = { participant: this.#view(entry), producerIds: [...entry.producers.keys()] };
    this.#entries.delete(userId);
    this.onChange();
    return removed;
  }

  updateState(userId: string, state: ParticipantState): void {
    const entry = this.#entries.get(userId);
    if (!entry) return;
    const { muted, deafened, speaking, serverMuted, serverDeafened } = state;
    entry.wire = { ...entry.wire, muted, deafened, speaking, serverMuted, serverDeafened };
    this.onChange();
  }

  /** False if its owner is not there: nothing is to be consumed then. */
  addProducer(info: ProducerInfo): boolean {
    const entry = this.#entries.get(info.userId);
    if (!entry) return false;
    entry.producers.set(info.producerId, info);
    this.onChange();
    return true;
  }

  removeProducer(producerId: string): void {
    const entry = this.#owner(producerId);
    if (!entry) return;
    entry.producers.delete(producerId);
    entry.tracks.delete(producerId);
    this.onChange();
  }

  setProducerPaused(producerId: string, paused: boolean): void {
    const entry = this.#owner(producerId);
    const info = entry?.producers.get(producerId);
    if (!entry || !info) return;
    entry.producers.set(producerId, { ...info, paused });
    this.onChange();
  }

  setTrack(producerId: string, track: MediaStreamTrack): void {
    this.#owner(producerId)?.tracks.set(producerId, track);
    this.onChange();
  }

  setSpeakers(speakers: readonly Speaker[]): void {
    this.#speakers = speakers;
    this.onChange();
  }

  isHeard(userId: string): boolean {
    return this.#speakers.some((speaker) => speaker.userId === userId);
  }

  #put(wire: WireParticipant): Entry {
    const producers = new Map(wire.producers.map((info) => [info.producerId, info]));
    const entry: Entry = { wire, producers, tracks: new Map() };
    this.#entries.set(wire.userId, entry);
    return entry;
  }

  #owner(producerId: string): Entry | undefined {
    for (const entry of this.#entries.values()) if (entry.producers.has(producerId)) return entry;
    return undefined;
  }

  #view({ wire, producers, tracks }: Entry): Participant {
    const media: Partial<Record<MediaSlot, ReceivedMedia>> = {};
    for (const [id, info] of producers) {
      const track = tracks.get(id);
      if (track) media[slotOf(info)] = { track, paused: info.paused };
    }
    const { producers: _, ...person } = wire;
    const silent = wire.muted || wire.serverMuted.audio;
    return { ...person, speaking: !silent && (wire.speaking || this.isHeard(wire.userId)), media };
  }
}
