"""Tricks on the network: everything that is not the runner's own port."""

import os
import socket
import struct

from each import each, must

SECONDS = 1.0


def tcp(address, family=socket.AF_INET):
    with socket.socket(family) as asking:
        asking.settimeout(SECONDS)
        asking.connect(address)
        return "connected"


def udp(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(SECONDS)
        asking.connect(address)
        asking.send(b"hostile")
        return must(asking.recv(100))


def addresses(given):
    """TCP and UDP, IPv4 and IPv6: outside, the cloud's metadata, the host's own listeners."""
    away, six = (
        ("192.0.2.1", "169.254.169.254", "0.0.0.0", "127.0.0.1", *given["hosts"]),
        ("2001:db8::1", "fe80::1", "::1"),
    )
    ports = (80, 443, *given["ports"])
    ways = [(f"tcp {host}:{port}", lambda at=(host, port): tcp(at)) for host in away for port in ports]
    ways += [(f"udp {host}:{port}", lambda at=(host, port): udp(at)) for host in away for port in (53, *given["ports"])]
    ways += [(f"tcp6 {host}", lambda at=(host, port): tcp(at, socket.AF_INET6)) for host in six for port in ports]
    return each(ways)


def names(_given):
    """Resolve a name, by the library and by asking resolvers directly."""
    query = struct.pack(">6H", 1, 256, 1, 0, 0, 0) + b"\x07example\x04test\x00" + struct.pack(">2H", 1, 1)

    def ask(host):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(SECONDS)
            asking.connect((host, 53))
            asking.send(query)
            return must(asking.recv(512))

    return each(
        [
            ("getaddrinfo", lambda: socket.getaddrinfo("example.test", 80)),
            *((host, lambda at=host: ask(at)) for host in ("127.0.0.53", "192.0.2.53")),
        ]
    )


def families(_given):
    """Sockets of every family and kind that could leave the box: vsock, packet, raw, alg, bluetooth, xdp."""
    numbers = [n for n in range(1, 47) if n not in (1, 2, 10, 16)]
    ways = [(f"family {n}/{kind}", lambda f=n, k=kind: socket.socket(f, k)) for n in numbers for kind in (1, 2, 3, 5)]
    ways += [(f"raw {p}", lambda f=f, p=p: socket.socket(f, socket.SOCK_RAW, p)) for f in (2, 10) for p in (1, 17, 255)]
    return each(ways)


def abstract_sockets(given):
    """Connect to what listens on the host without a file."""
    with open("/proc/net/unix") as file:
        seen = [line.split()[-1][1:] for line in file if " @" in line]

    def connect(name):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect("\0" + name)
            return "connected"

    return each([(name, lambda to=name: connect(to)) for name in (*given["names"], *seen)])


def netlink(_given):
    """Change the box's network: a new interface, an address, a route, a firewall rule."""

    def send(protocol, kind, flags, body):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as asking:
            asking.settimeout(SECONDS)
            asking.bind((0, 0))
            asking.send(struct.pack("=IHHII", 16 + len(body), kind, 5 | flags, 1, 0) + body)
            said = asking.recv(4096)
            number = struct.unpack_from("=i", said, 16)[0]
            if struct.unpack_from("=H", said, 4)[0] == 2 and number:
                raise OSError(-number, os.strerror(-number))
            return "done"

    create = 0x600
    link = struct.pack("=BBHiII", 0, 0, 0, 0, 1, 1) + struct.pack("=HH6s2x", 10, 3, b"trick0")
    address = struct.pack("=BBBBi", 2, 8, 0, 0, 1) + struct.pack("=HH4s", 8, 2, bytes((10, 9, 8, 7)))
    route = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHi", 8, 4, 1)
    return each(
        [
            ("link", lambda: send(0, 16, create, link)),
            ("address", lambda: send(0, 20, create, address)),
            ("route", lambda: send(0, 24, create, route)),
            ("audit", lambda: send(9, 1001, 0, b"\0" * 40)),
            ("netfilter", lambda: send(12, 0xA00, create, b"\0" * 8)),
        ]
    )


def port_taken(_given):
    """Listen at the gateway's address in the box in the runner's place."""

    def bind(host, option):
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, option, 1)
            listening.bind((host, 8787))
            listening.listen()
            return "listening"

    options = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    return each(
        [
            (f"{host}/{n}", lambda h=host, o=option: bind(h, o))
            for host in ("127.0.0.1", "0.0.0.0", "")
            for n, option in enumerate(options)
        ]
    )
