// A wire to the server that can be cut: what a network that goes away does to a socket, while media goes on beside it.

import { connect, createServer, type Server, type Socket } from 'node:net';

/** Carries TCP connections to a port of this machine. */
export class Wire {
  private readonly ends = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly port: number,
  ) {}

  static async to(port: number): Promise<Wire> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const wire = new Wire(server, address.port);
    server.on('connection', (near) => {
      const far = connect(port, '127.0.0.1');
      for (const [end, other] of [
        [near, far],
        [far, near],
      ] as const) {
        wire.ends.add(end);
        end.pipe(other);
        end.on('error', () => other.destroy());
        end.on('close', () => wire.ends.delete(end));
      }
    });
    return wire;
  }

  /** Where the server is at this end. `localhost` makes it a secure context. */
  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** Breaks every connection without a word to either end, and answers how many. New ones can be made. */
  cut(): number {
    const broken = this.ends.size / 2;
    for (const end of this.ends) end.resetAndDestroy();
    return broken;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
