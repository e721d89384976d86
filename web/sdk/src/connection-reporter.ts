// Tells the server how one transport connects: once when it does, when that takes too long, and each time it fails. Nothing depends on it.

import type { NetworkType } from './network.js';
import { readConnection } from './rtc/connection-report.js';
import type { ConnectionState, RtcTransport } from './rtc/rtc.js';
import type { Signal } from './signal/signal.js';

/** The longest time to connect that can be told, in ms. */
const MAX_CONNECT_MS = 600_000;

export class ConnectionReporter {
  #began: number | undefined;
  #connected = false;

  constructor(
    private readonly signal: Signal,
    private readonly transport: () => RtcTransport | undefined,
    private readonly network: () => NetworkType,
  ) {}

  /** The transport is in use from now on. */
  begin(): void {
    this.#began ??= performance.now();
  }

  /** It should long have been connected, and ICE is about to be restarted. */
  onLate(): void {
    void this.#tell('failed');
  }

  /** To be told of every change of the transport's state. */
  onState(state: ConnectionState): void {
    if (state === 'connected' && !this.#connected) {
      this.#connected = true;
      void this.#tell('connected');
    }
    if (state === 'failed') void this.#tell('failed');
  }

  /** What was measured is read at once: the next round of ICE begins anew. Who is not heard has nothing to repair. */
  async #tell(outcome: 'connected' | 'failed'): Promise<void> {
    const transport = this.transport();
    if (!transport) return;
    const took = this.#began === undefined ? undefined : Math.round(performance.now() - this.#began);
    try {
      const report = readConnection(outcome, await transport.getStats());
      const connectMs = took === undefined || (outcome === 'failed' && this.#connected) ? undefined : Math.min(took, MAX_CONNECT_MS);
      await this.signal.request('voice:rtc:reportConnection', {
        transportId: transport.id,
        ...report,
        ...(connectMs !== undefined && { connectMs }),
        network: this.network(),
      });
    } catch {
      // An older server, a connection that is away, or a transport that was closed meanwhile.
    }
  }
}
