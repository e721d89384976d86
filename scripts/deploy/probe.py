"""Asks a TURN server over UDP for what it must give, and for relays to every address it must deny.

The addresses do not come from its configuration: they are the special-purpose registries of IANA, and IPv4 in every form that
it has in IPv6. Nothing but Python is needed, so the server's own idea of an address is not trusted either.
"""

import argparse
import base64
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import sys
import time

COOKIE = 0x2112A442
ALLOCATE, CREATE_PERMISSION = 0x0003, 0x0008
USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, XOR_PEER_ADDRESS = 0x0006, 0x0008, 0x0009, 0x0012
REALM, NONCE, XOR_RELAYED_ADDRESS, REQUESTED_FAMILY, REQUESTED_TRANSPORT = 0x0014, 0x0015, 0x0016, 0x0017, 0x0019
FAMILY = {4: 1, 6: 2}

# RFC 6890 and the registries that follow it; of each the first, a middle and the last address are tried.
DENIED = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 168.63.129.16/32 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
::/128 ::1/128 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28
2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
""".split()
# Public addresses: whoever denies everything relays for nobody.
ALLOWED = ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.32.0.1", "193.0.0.1", "2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2003::1"]


def in_ipv6(v4):
    """Every form in which an IPv4 address is an IPv6 address: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP."""
    n = int(v4)
    yield ipaddress.IPv6Address((0xFFFF << 32) | n)
    yield ipaddress.IPv6Address(n)
    yield ipaddress.IPv6Address((0xFFFF << 48) | n)
    yield ipaddress.IPv6Address((0x0064FF9B << 96) | n)
    yield ipaddress.IPv6Address((0x0064FF9B0001 << 80) | n)
    yield ipaddress.IPv6Address((0x2002 << 112) | (n << 80) | 1)
    yield ipaddress.IPv6Address((0x20010000 << 96) | (n ^ 0xFFFFFFFF))
    yield ipaddress.IPv6Address((0xFE80 << 112) | (0x5EFE << 32) | n)
    yield ipaddress.IPv6Address((0xFE80 << 112) | (0x02005EFE << 32) | n)


def denied():
    for text in DENIED:
        network = ipaddress.ip_network(text)
        for address in {network[0], network[network.num_addresses // 2], network[-1]}:
            yield address
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "224.0.0.1"]:
        yield from in_ipv6(ipaddress.IPv4Address(inside))


class Refused(Exception):
    """An error response; its number is `args[0]`."""


class Client:
    """One client of a TURN server, with one allocation of a family."""

    def __init__(self, address, username, password):
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(2)
        self.socket.connect(address)
        self.username, self.password = username.encode(), password.encode()
        self.realm = self.nonce = None

    def allocate(self, version=4):
        """Allocates a relay; answers its address if that is IPv4."""
        wanted = [(REQUESTED_TRANSPORT, b"\x11\0\0\0"), (REQUESTED_FAMILY, bytes([FAMILY[version], 0, 0, 0]))]
        return relayed(self.ask(ALLOCATE, wanted)[XOR_RELAYED_ADDRESS])

    def permit(self, peer):
        """Asks for a permission for a peer."""
        self.ask(CREATE_PERMISSION, peer=peer)

    def ask(self, method, attributes=(), peer=None):
        """Sends a request, signed as soon as realm and nonce are known; answers the attributes of the response."""
        while True:
            known = self.nonce
            try:
                return self.exchange(method, list(attributes), peer)
            except Refused as refused:
                # The first request learns the nonce, and an old nonce is exchanged for a new one.
                if refused.args[0] not in (401, 438) or self.nonce == known:
                    raise

    def exchange(self, method, attributes, peer):
        transaction = os.urandom(12)
        if peer is not None:
            attributes.append((XOR_PEER_ADDRESS, xored(peer, transaction)))
        if self.nonce is not None:
            attributes += [(USERNAME, self.username), (REALM, self.realm), (NONCE, self.nonce)]
        body = b"".join(attribute(kind, value) for kind, value in attributes)
        if self.nonce is not None:
            key = hashlib.md5(self.username + b":" + self.realm + b":" + self.password).digest()
            signed = header(method, len(body) + 24, transaction) + body
            body += attribute(MESSAGE_INTEGRITY, hmac.new(key, signed, hashlib.sha1).digest())
        for _ in range(5):
            self.socket.send(header(method, len(body), transaction) + body)
            try:
                while True:
                    answer = self.socket.recv(2048)
                    if answer[8:20] == transaction:
                        return self.read(answer)
            except TimeoutError:
                continue
        raise TimeoutError("the TURN server does not answer")

    def read(self, answer):
        found = dict(attributes_of(answer[20:]))
        if struct.unpack_from("!H", answer)[0] & 0x0110 == 0x0110:
            self.realm, self.nonce = found.get(REALM, self.realm), found.get(NONCE, self.nonce)
            code = found[ERROR_CODE]
            raise Refused(code[2] * 100 + code[3], code[4:].decode())
        return found


def header(method, length, transaction):
    return struct.pack("!HHI", method, length, COOKIE) + transaction


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def attributes_of(body):
    while len(body) >= 4:
        kind, length = struct.unpack_from("!HH", body)
        yield kind, body[4 : 4 + length]
        body = body[4 + length + -length % 4 :]


def xored(peer, transaction, port=9):
    mask = struct.pack("!I", COOKIE) + transaction
    return struct.pack("!BBH", 0, FAMILY[peer.version], port ^ (COOKIE >> 16)) + bytes(a ^ b for a, b in zip(peer.packed, mask))


def relayed(value):
    """The IPv4 address in an XOR-RELAYED-ADDRESS; None for IPv6, which is masked with more."""
    mask = struct.pack("!I", COOKIE)
    return ipaddress.IPv4Address(bytes(a ^ b for a, b in zip(value[4:8], mask))) if value[1] == FAMILY[4] else None


def credential(secret, expires, user="probe"):
    """A user name and its password, as Parlor signs them."""
    name = f"{int(expires)}:{user}"
    return name, base64.b64encode(hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()).decode()


def outcome(action):
    """The number of a refusal; 0 if there is none."""
    try:
        action()
        return 0
    except Refused as refused:
        return refused.args[0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("host")
    arguments.add_argument("port", type=int)
    arguments.add_argument("--secret", required=True, action="append", help="a secret that must be accepted; repeatable")
    arguments.add_argument("--external-ip", help="the address that relays must have")
    arguments.add_argument("--allowed", action="append", default=[], help="an address that is denied otherwise, and allowed here")
    given = arguments.parse_args()
    address, later = (given.host, given.port), time.time() + 600
    wrong = []

    def expect(what, is_so, should_be):
        if is_so != should_be:
            wrong.append(f"{what}: {is_so} and not {should_be}")

    for secret in given.secret:
        relay = Client(address, *credential(secret, later)).allocate()
        if given.external_ip:
            expect("the relay's address", str(relay), given.external_ip)
    expect("a wrong secret", outcome(Client(address, *credential("wrong", later)).allocate), 401)
    expect("an old credential", outcome(Client(address, *credential(given.secret[0], time.time() - 60)).allocate), 401)

    clients = {}
    for version in (4, 6):
        clients[version] = Client(address, *credential(given.secret[0], later, f"probe{version}"))
        clients[version].allocate(version)
    allowed = [ipaddress.ip_address(text) for text in [*ALLOWED, *given.allowed]]
    tried = sorted(set(denied()) - set(allowed), key=lambda peer: (peer.version, peer))
    for peer in tried:
        expect(f"a permission for {peer}", outcome(lambda: clients[peer.version].permit(peer)), 403)
    for peer in allowed:
        expect(f"a permission for {peer}", outcome(lambda: clients[peer.version].permit(peer)), 0)
    print(f"{len(tried)} addresses are denied, {len(allowed)} are not" if not wrong else "\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
