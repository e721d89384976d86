// An internet in miniature: public addresses for servers, and homes behind routers that let out what they are told to.

import { Namespace } from './netns.js';

/** Addresses that a relay takes for public: it relays to no others. Outside of these namespaces they lead nowhere. */
const [NET4, NET6] = ['11.7.0', '2a0e:7'];
/** The last numbers of the addresses that servers may have. */
const SERVERS = [2, 3, 4, 5, 6];

/** A version of IP, and how many bits of its addresses are the network's. */
export type Family = 4 | 6;
const PREFIX: Record<Family, number> = { 4: 24, 6: 64 };

/** What a router lets out. Nothing comes in that was not asked for. */
export type Outlet =
  /** Everything, each connection from a port of its own that nobody can guess: a symmetric NAT. */
  | 'symmetric'
  /** TCP to port 443, as from hotels and offices. */
  | '443'
  /** Everything but datagrams; those that were under way are cut off as well. */
  | 'no-udp';

const NAT = 'table ip nat { chain out { type nat hook postrouting priority 100; oifname "wan" masquerade fully-random; }\n}';
const LETS_OUT: Record<Outlet, string> = {
  symmetric: 'ct state established,related accept; iifname "lan" accept',
  '443': 'meta l4proto tcp ct state established,related accept; iifname "lan" tcp dport 443 accept',
  'no-udp': 'meta l4proto udp drop; ct state established,related accept; iifname "lan" accept',
};

/** The network in the middle. Servers run in it, and have its addresses. */
export class Internet {
  /** Where servers run. */
  readonly core = new Namespace();
  private readonly homes: Home[] = [];

  private constructor() {
    this.core.run('ip', 'link', 'add', 'net', 'type', 'bridge');
    for (const last of SERVERS) addAddresses(this.core, 'net', `${NET4}.${last}/24`, `${NET6}::${last}/64`);
    this.core.run('ip', 'link', 'set', 'net', 'up');
    // A relay that is asked for an address without a route would stop reading.
    for (const family of ['-4', '-6']) this.core.run('ip', family, 'route', 'add', 'default', 'dev', 'net');
  }

  /** Makes one with nobody in it. */
  static create(): Internet {
    return new Internet();
  }

  /** An address that a server may have, of the five there are. */
  address(server: number, family: Family = 4): string {
    const last = SERVERS[server];
    return family === 4 ? `${NET4}.${last}` : `${NET6}::${last}`;
  }

  /** Adds a home, with one machine in it. */
  home(): Home {
    const home = new Home(this.core, this.homes.length + 1);
    this.homes.push(home);
    return home;
  }

  /** Removes it with all homes. */
  remove(): void {
    for (const home of this.homes) home.remove();
    this.core.remove();
  }
}

/** A machine with private addresses, and the router before it. */
export class Home {
  /** The machine. */
  readonly machine = new Namespace();
  private readonly router = new Namespace();
  /** What the machine's addresses begin with. Those of IPv6 are public. */
  readonly networks: Record<Family, string>;
  /** The public address of the router, which others see, and one that nobody has. */
  readonly outside: string;
  readonly spare: string;

  constructor(core: Namespace, number: number) {
    const { router, machine } = this;
    this.networks = { 4: `192.168.${number}.`, 6: `${NET6}:${number}::` };
    this.outside = `${NET4}.${100 + number}`;
    this.spare = `${NET4}.${200 + number}`;
    const [port, outside6] = [`home${number}`, `${NET6}::${100 + number}`];
    core.run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'wan', 'netns', router.name);
    core.run('ip', 'link', 'set', port, 'master', 'net', 'up');
    router.run('ip', 'link', 'set', 'wan', 'up');
    router.run('ip', 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', machine.name);
    router.run('ip', 'link', 'set', 'lan', 'up');
    addAddresses(router, 'wan', `${this.outside}/24`, `${outside6}/64`);
    addAddresses(router, 'lan', `${this.networks[4]}1/24`, `${this.networks[6]}1/64`);
    core.run('ip', 'route', 'add', `${this.networks[6]}/64`, 'via', outside6);
    router.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    this.letsOut('symmetric');
    this.has([4]);
  }

  /** What the router lets out from now on, and never to these addresses. */
  letsOut(what: Outlet, ...never: string[]): void {
    const drop = never.map((address) => `ip daddr ${address} drop; `).join('');
    const gate = `type filter hook forward priority 0; policy drop; ${drop}${LETS_OUT[what]}`;
    this.router.rules(`${NAT}\ntable inet gate { chain pass { ${gate}; }\n}`);
  }

  /** The router has this public address and no other, and hands on all that comes to it, and the machine is seen under it. */
  isAt(outside: string): void {
    const { router } = this;
    router.run('ip', 'address', 'flush', 'dev', 'wan', 'scope', 'global');
    addAddresses(router, 'wan', `${outside}/${PREFIX[4]}`);
    const [comes, goes] = [`ip daddr ${outside} dnat to ${this.networks[4]}2`, `oifname "wan" snat to ${outside}`];
    const [before, after] = ['type nat hook prerouting priority -100', 'type nat hook postrouting priority 100'];
    router.rules(`table ip nat { chain in { ${before}; iifname "wan" ${comes}; }\nchain out { ${after}; ${goes}; }\n}`);
  }

  /** Gives the machine an address of each of these families with this last number, and takes what it had. */
  has(families: readonly Family[], last = 2): void {
    const { machine } = this;
    machine.run('ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
    machine.run('ip', 'link', 'set', 'eth0', 'up');
    for (const family of families) {
      const network = this.networks[family];
      addAddresses(machine, 'eth0', `${network}${last}/${PREFIX[family]}`);
      machine.run('ip', `-${family}`, 'route', 'replace', 'default', 'via', `${network}1`);
    }
  }

  /** Removes both. */
  remove(): void {
    this.machine.remove();
    this.router.remove();
  }
}

/** Adds addresses that work at once: nobody else could have an IPv6 one. */
function addAddresses(namespace: Namespace, device: string, ...addresses: string[]): void {
  for (const address of addresses) {
    namespace.run('ip', 'address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
  }
}
