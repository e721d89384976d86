// Being heard and hearing: what one wants, and what a moderator allows.

import { hasCode, VoiceError } from './errors.js';
import type { Restrictions, Role, SaidState } from './protocol.js';
import type { MediaSlot } from './roster.js';

export interface VoiceContext {
  /** Tells the server, if there is a channel. Rejects with DISCONNECTED while the connection is being restored. */
  readonly tell: (state: Partial<SaidState>) => Promise<void>;
  /** Whether the connection is being restored: the state is told then anyway. */
  readonly returning: () => boolean;
  readonly onChange: () => void;
}

const FREE: Restrictions = { audio: false, video: false, screen: false, deafened: false };

export class Voice {
  #muted = false;
  /** What was asked for last; the server may not have agreed yet. */
  #wantsMuted = false;
  #deafened = false;
  /** Something was asked for while there was no connection to tell it on. */
  #unsaid = false;
  #restrictions = FREE;
  role: Role = 'speaker';

  constructor(private readonly context: VoiceContext) {}

  /** What one wants, as it is told to the server. */
  get wanted(): { muted: boolean; deafened: boolean } {
    return { muted: this.#muted, deafened: this.#deafened };
  }

  get restrictions(): Restrictions {
    return this.#restrictions;
  }

  /** Whether nobody is heard here. */
  get deaf(): boolean {
    return this.#deafened || this.#restrictions.deafened;
  }

  /** Whether nothing of it may be heard or seen. */
  silenced(slot: MediaSlot): boolean {
    const { audio, video, screen } = this.#restrictions;
    if (slot === 'mic') return this.#muted || audio;
    if (slot === 'camera') return video;
    return screen || (slot === 'screenAudio' && audio);
  }

  /** A user whose sound a moderator takes away is muted, and stays so when it is given back, and wherever they are moved to. */
  restrict(restrictions: Restrictions): void {
    if (restrictions.audio) this.#muted = this.#wantsMuted = true;
    this.#restrictions = restrictions;
    this.context.onChange();
  }

  /** The server goes on with a stay that had lost its connection, and has one muted: by a moderator, who has released one again. */
  heed({ muted }: Pick<SaidState, 'muted'>): void {
    if (muted && !this.#unsaid) this.#muted = this.#wantsMuted = true;
    this.#unsaid = false;
    this.context.onChange();
  }

  /** Outside a channel nobody has taken anything away. */
  reset(): void {
    this.role = 'speaker';
    this.restrict(FREE);
  }

  async toggleMute(): Promise<boolean> {
    this.demandVoice();
    // The opposite of what was asked for last: who presses twice in haste is as before.
    const muted = (this.#wantsMuted = !this.#wantsMuted);
    // Silent at once; heard again only when the server agrees.
    if (muted) this.#setMuted(true);
    try {
      await this.#tell({ muted });
    } catch (error) {
      if (this.#wantsMuted === muted) this.#wantsMuted = this.#muted;
      throw error;
    }
    if (this.#wantsMuted === muted) this.#setMuted(muted);
    return muted;
  }

  async toggleDeafen(): Promise<boolean> {
    this.demand('deafened');
    const deafened = !this.#deafened;
    // Deaf at once; heard again only when the server agrees, because it sends nothing before.
    if (deafened) this.#setDeafened(true);
    await this.#tell({ deafened });
    this.#setDeafened(deafened);
    return deafened;
  }

  /** Throws where the user may not speak. */
  demandVoice(): void {
    if (this.role === 'spectator') throw new VoiceError('SPECTATOR', 'You may listen here, not speak.');
    this.demand('audio');
  }

  /** Throws if a moderator has taken it away. */
  demand(restriction: keyof Restrictions): void {
    if (!this.#restrictions[restriction]) return;
    throw new VoiceError('MODERATED', 'A moderator has turned this off. Only a moderator can undo it.', { restriction });
  }

  async #tell(state: Partial<SaidState>): Promise<void> {
    try {
      await this.context.tell(state);
    } catch (error) {
      if (!hasCode(error, 'DISCONNECTED') || !this.context.returning()) throw error;
      this.#unsaid = true;
    }
  }

  #setMuted(muted: boolean): void {
    this.#muted = muted;
    this.context.onChange();
  }

  #setDeafened(deafened: boolean): void {
    if (this.#deafened === deafened) return;
    this.#deafened = deafened;
    this.context.onChange();
  }
}
