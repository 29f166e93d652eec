"""Where a box may go beside the gateway itself: names, ports and addresses. Pure; `egress.py` goes by it.

A name is on the list of this installation (`SHIPMATE_EGRESS_HOSTS`; the public package registries by default) or on the
list of the box's repository. What a name turns out to be must be an address that everybody may reach: a box never gets
into the network that the service stands in, except to hosts that whoever runs it has named (`SHIPMATE_EGRESS_PRIVATE`).
"""

import ipaddress
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

PORTS = (80, 443)
REGISTRIES = (
    # Python
    "pypi.org", "files.pythonhosted.org",
    # JavaScript
    "registry.npmjs.org", "registry.yarnpkg.com", "repo.yarnpkg.com", "npm.jsr.io", "jsr.io",
    # Go
    "proxy.golang.org", "sum.golang.org",
    # Rust
    "crates.io", "static.crates.io", "index.crates.io",
    # Ruby, PHP, JVM, .NET, Elixir, Dart
    "rubygems.org", "index.rubygems.org", "packagist.org", "repo.packagist.org", "repo.maven.apache.org",
    "repo1.maven.org", "plugins.gradle.org", "api.nuget.org", "repo.hex.pm", "builds.hex.pm", "pub.dev",
    # systems
    "deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com", "ports.ubuntu.com",
    "dl-cdn.alpinelinux.org",
)  # fmt: skip
# The last label begins with a letter: no way of writing an address as a number is a name.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_PATTERN = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
# Clouds' own services, at addresses that look public.
_NEVER = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
# Of version 6, for sites, translators, routers and books: the library takes some of them for everybody's.
_INNER = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "5f00::/16", "3fff::/20")))
# Addresses of version 6 that end in an older one.
_CARRIERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
_HINT = "add it to customizations.shipmate.egress in .devcontainer/devcontainer.json"


class Target(NamedTuple):
    """A host, in lower case and without a dot at its end, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Denied(Exception):
    """No way there. The message tells the agent why; `counted`: one word for the metrics; `status`: HTTP's."""

    def __init__(self, counted: str, said: str, status: int = 403) -> None:
        super().__init__(said)
        self.counted, self.status = counted, status


def asked(host: str, port: str) -> Target:
    """What is asked for. Raises Denied for what is no name."""
    name = host.lower().removesuffix(".")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536):
        raise Denied("malformed", "Boxes reach hosts at a port between 1 and 65535.")
    if is_address(name):
        raise Denied("address", "Boxes reach hosts by name only, never by address.")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise Denied("malformed", "There can be no host of this name.")
    return Target(name, int(port))


def is_address(host: str) -> bool:
    """Whether this is an address and no name, however it is written."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return bool(re.fullmatch(r"(?:0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]))
    return True


def check(target: Target, listed: Sequence[str], of_repository: Collection[str], private: Collection[Target]) -> bool:
    """Whether the target is one of the installation's own network; raises Denied unless it is on one of the lists."""
    if target in private:
        return True
    if not matches(target.host, (*listed, *of_repository)):
        raise Denied("not listed", f"{target.host} is not in this repository's list: {_HINT}")
    if target.port not in PORTS:
        raise Denied("port", f"Boxes reach {target.host} at ports 443 and 80 only, not at {target.port}.")
    return False


def matches(host: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns is this host. `*.example.com` is every host below example.com."""
    return any(
        host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1)
        for pattern in patterns
    )


def check_addresses(target: Target, found: Sequence[str], is_private: bool) -> None:
    """Raise Denied if one of the addresses that a name stands for is not to be reached."""
    if not found:
        raise Denied("no such host", f"{target.host} is not known: check its name.", 502)
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = _inside(address)
        if _is_never(address) or _is_never(inner) or not (is_private or (_is_public(address) and _is_public(inner))):
            raise Denied("private", f"{target.host} stands for an address inside a network that boxes do not reach.")


def _is_never(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether nobody may send a box there."""
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    return special or any(address in network for network in _NEVER)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether everybody may reach it."""
    return address.is_global and not any(address in network for network in _INNER)


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The older address that one of version 6 carries; else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _CARRIERS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def hosts_of(words: Sequence[str]) -> tuple[str, ...]:
    """A list of patterns as people write it: `registries` stands for the public ones, `none` for nothing.

    Raises ValueError with a sentence.
    """
    found: list[str] = []
    for word in (word.strip().lower() for word in words):
        if word == "registries":
            found += REGISTRIES
        elif word != "none":
            if not _PATTERN.fullmatch(word) or len(word) > 253:
                raise ValueError(
                    f"must be names of hosts, such as pypi.org or *.acme.example; {word[:80]!r} is not one"
                )
            found.append(word)
    return tuple(dict.fromkeys(found))


def targets_of(words: Sequence[str]) -> tuple[Target, ...]:
    """Hosts of one's own network as people write them: `host:port`, or `host` for port 443. Raises ValueError."""
    found = []
    for word in (word.strip() for word in words):
        host, _, port = word.partition(":")
        try:
            found.append(asked(host, port or "443"))
        except Denied as wrong:
            raise ValueError(f"must be host:port,...; {word[:80]!r} is not: {wrong}") from None
    return tuple(found)
