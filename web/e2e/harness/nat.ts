// A NAT before the server's media port that can forget all its ports, as one does that restarts or is short of them.

import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

/** Where the server's media is, behind the NAT. */
const INSIDE = '127.0.0.1';

/** Takes datagrams at this machine's own address, and hands each client's on from a port of its own. */
export class Nat {
  private readonly ports = new Map<string, Socket>();
  private readonly old: Socket[] = [];
  private strays = 0;

  private constructor(private readonly outside: Socket) {}

  /** The lines of the `[media]` table with which a server is behind it. */
  static media(): string {
    return `workers = 1\nlisten_ip = ["${INSIDE}"]\nannounced_ip = ["${ownAddress()}"]`;
  }

  /** Stands before the server with this media port. */
  static async before(port: number): Promise<Nat> {
    const outside = createSocket('udp4');
    await new Promise<void>((resolve, reject) => outside.once('error', reject).bind(port, ownAddress(), resolve));
    const nat = new Nat(outside);
    outside.on('message', (bytes, from) => nat.portOf(from.address, from.port).send(bytes, port, INSIDE));
    return nat;
  }

  /** From now on everybody's datagrams come from other ports, and nothing that is sent to the old ones arrives. */
  rebind(): void {
    for (const socket of this.ports.values()) {
      socket.removeAllListeners('message');
      socket.on('message', () => this.strays++);
      this.old.push(socket);
    }
    this.ports.clear();
  }

  /** How many datagrams the server has sent to ports that are nobody's any more. */
  get lost(): number {
    return this.strays;
  }

  /** Ends the NAT. */
  close(): void {
    for (const socket of [this.outside, ...this.ports.values(), ...this.old]) socket.close();
  }

  private portOf(address: string, port: number): Socket {
    const client = `${address}:${port}`;
    const known = this.ports.get(client);
    if (known !== undefined) return known;
    const socket = createSocket('udp4');
    // A port that is not bound yet is bound by the first send; what fails is a lost datagram.
    socket.on('error', () => {});
    socket.on('message', (bytes) => this.outside.send(bytes, port, address));
    this.ports.set(client, socket);
    return socket;
  }
}

/** The first address of this machine that is not loopback: Firefox does not use candidates there. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (found === undefined) throw new Error('this machine has no address but loopback');
  return found.address;
}
