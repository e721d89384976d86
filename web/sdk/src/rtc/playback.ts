// Plays what the others say: one audio element a track, a volume a person, silence when deafened.

/** The place where sound goes. The page is one; tests have another. */
export interface AudioOutput {
  add(id: string, userId: string, track: MediaStreamTrack): void;
  remove(id: string): void;
  setVolume(userId: string, volume: number): void;
  setDeafened(deafened: boolean): void;
  /** Tries again what the browser blocked; call it from a click. True when all plays. */
  resume(): Promise<boolean>;
  clear(): void;
}

/** Makes an output that reports when the browser blocks sound until somebody clicks, and when it no longer does. */
export type AudioOutputFactory = (onBlocked: (blocked: boolean) => void) => AudioOutput;

/** Audio elements that are not in the page: they play all the same. */
export const pageAudio: AudioOutputFactory = (onBlocked) => new PageAudio(onBlocked);

class PageAudio implements AudioOutput {
  readonly #playing = new Map<string, { userId: string; element: HTMLAudioElement }>();
  readonly #volumes = new Map<string, number>();
  #deafened = false;
  #blocked = false;

  constructor(private readonly onBlocked: (blocked: boolean) => void) {}

  add(id: string, userId: string, track: MediaStreamTrack): void {
    this.remove(id);
    const element = new Audio();
    element.srcObject = new MediaStream([track]);
    element.volume = this.#volumes.get(userId) ?? 1;
    element.muted = this.#deafened;
    this.#playing.set(id, { userId, element });
    void this.#play(element);
  }

  remove(id: string): void {
    const playing = this.#playing.get(id);
    if (!playing) return;
    this.#playing.delete(id);
    playing.element.pause();
    playing.element.srcObject = null;
    if (this.#playing.size === 0) this.#setBlocked(false);
  }

  setVolume(userId: string, volume: number): void {
    const bounded = Math.min(1, Math.max(0, volume));
    this.#volumes.set(userId, bounded);
    for (const playing of this.#playing.values()) if (playing.userId === userId) playing.element.volume = bounded;
  }

  setDeafened(deafened: boolean): void {
    this.#deafened = deafened;
    for (const { element } of this.#playing.values()) element.muted = deafened;
  }

  async resume(): Promise<boolean> {
    const results = await Promise.all([...this.#playing.values()].map(({ element }) => this.#play(element)));
    const all = results.every(Boolean);
    if (all) this.#setBlocked(false);
    return all;
  }

  clear(): void {
    for (const id of [...this.#playing.keys()]) this.remove(id);
  }

  async #play(element: HTMLAudioElement): Promise<boolean> {
    try {
      await element.play();
      return true;
    } catch (error) {
      // AbortError means that it was removed before it began to play: nothing is wrong.
      const blocked = error instanceof DOMException && error.name === 'NotAllowedError';
      if (blocked) this.#setBlocked(true);
      return !blocked;
    }
  }

  #setBlocked(blocked: boolean): void {
    if (this.#blocked === blocked) return;
    this.#blocked = blocked;
    this.onBlocked(blocked);
  }
}
