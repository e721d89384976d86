// Whether the channel one would join, or is in, is open now: asked of the server, and again when that may have changed.

/** What is known of the window of a channel. */
export interface Hours {
  /** The channel is open. */
  active: boolean;
  opensAt: string | null;
  closesAt: string | null;
}

/** Typing is over: nobody is asked about the beginnings of a name. */
const TYPED_MS = 400;
/** How often a channel is looked at again that is closed, or open: its window may be changed at any time. */
const CLOSED_MS = 15_000;
const OPEN_MS = 60_000;
/** When it should have opened or closed by the clock here, and not yet by the server's, which is the one that counts. */
const SKEWED_MS = 5_000;
/** The server notices a moment later than at it. */
const MARGIN_MS = 100;
/** The longest any request may take. */
const LOOK_TIMEOUT = 5_000;
/** The longest sleep where the server is not asked any more; timers of browsers hold 24 days at most. */
const SLEEP_MS = 24 * 3_600_000;

export class Opening {
  /** Of the channel that is followed; undefined while nothing is known of it. */
  hours = $state.raw<Hours | undefined>();
  /** The channel has opened while it was looked at. */
  opened = $state(false);

  #channel: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The server says nothing of it to whoever has this token; what was known goes by the clock. */
  #refused = false;

  /** `changed` is told when it opens or closes. */
  constructor(
    private readonly token: () => Promise<string>,
    private readonly changed: (active: boolean) => void,
  ) {}

  /** Follows a channel, until the answer is called. */
  follow(channel: string | undefined): () => void {
    clearTimeout(this.#timer);
    this.#channel = channel;
    this.#refused = this.opened = false;
    this.hours = undefined;
    if (channel) this.#later(TYPED_MS);
    return () => {
      clearTimeout(this.#timer);
      this.#channel = undefined;
    };
  }

  /** A join was refused because it is closed. False when another channel is followed by now. */
  learn(channel: string, { opensAt, closesAt }: { opensAt?: unknown; closesAt?: unknown }): boolean {
    if (channel !== this.#channel) return false;
    this.#learned({ active: false, opensAt: text(opensAt), closesAt: text(closesAt) });
    return true;
  }

  /** Somebody looks at the page again, whose timers may have slept. */
  again(): void {
    if (this.#channel !== undefined && this.hours) this.#later(0);
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined) return;
    const seen = this.#refused ? 'refused' : await this.#ask(channel);
    if (channel !== this.#channel) return;
    this.#refused = seen === 'refused';
    if (seen && seen !== 'refused') this.#learned(seen);
    else if (this.hours) this.#learned({ ...this.hours, active: byClock(this.hours) });
    else if (!this.#refused) this.#later(CLOSED_MS);
  }

  #learned(hours: Hours): void {
    const before = this.hours;
    this.hours = hours;
    if (before && before.active !== hours.active) {
      this.opened = hours.active;
      this.changed(hours.active);
    }
    this.#later(this.#pause(hours));
  }

  /** Until the next look: at the moment at which it changes by what is known, and now and then before. */
  #pause({ active, opensAt, closesAt }: Hours): number {
    const often = this.#refused ? SLEEP_MS : active ? OPEN_MS : CLOSED_MS;
    const until = moment(active ? closesAt : opensAt) - Date.now();
    if (Number.isNaN(until) || (!active && moment(closesAt) <= Date.now())) return often;
    return Math.min(often, until > 0 ? until + MARGIN_MS : SKEWED_MS);
  }

  /** Undefined: the server did not answer. */
  async #ask(channel: string): Promise<Hours | 'refused' | undefined> {
    try {
      const response = await fetch(`/api/voice/${encodeURIComponent(channel)}/window`, {
        headers: { authorization: `Bearer ${await this.token()}` },
        signal: AbortSignal.timeout(LOOK_TIMEOUT),
      });
      if ([400, 401, 403, 404].includes(response.status)) return 'refused';
      return response.ok ? read(await response.json()) : undefined;
    } catch {
      return undefined;
    }
  }
}

function read(body: unknown): Hours | undefined {
  const { voiceActive, opensAt, closesAt } = (body ?? {}) as Record<string, unknown>;
  if (typeof voiceActive !== 'boolean') return undefined;
  return { active: voiceActive, opensAt: text(opensAt), closesAt: text(closesAt) };
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** NaN where there is none. */
const moment = (time: string | null): number => (time ? Date.parse(time) : Number.NaN);

function byClock({ opensAt, closesAt }: Hours): boolean {
  const now = Date.now();
  return !(now < moment(opensAt)) && !(moment(closesAt) <= now);
}
