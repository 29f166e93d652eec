"""Where boxes may go: names, ports, addresses, and the lists as people write them."""

import pytest

from bot.gateway.egress_rules import (
    REGISTRIES,
    Denied,
    Target,
    asked,
    check,
    check_addresses,
    hosts_of,
    matches,
    targets_of,
)

PYPI = Target("pypi.org", 443)


def denied(host: str, port: str, *of_repository: str) -> str:
    """Why not, in a word; empty if it may be reached."""
    try:
        check(asked(host, port), REGISTRIES, of_repository, ())
    except Denied as why:
        return why.counted
    return ""


@pytest.mark.parametrize("registry", REGISTRIES)
def test_every_public_registry_can_be_reached(registry: str) -> None:
    assert denied(registry, "443") == ""


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("PyPI.org", "443", ""),
        ("pypi.org.", "443", ""),
        ("pypi.org", "80", ""),
        ("pypi.org", "22", "port"),
        ("evil.example", "443", "not listed"),
        ("pypi.org.evil.example", "443", "not listed"),
        ("evilpypi.org", "443", "not listed"),
        ("sub.pypi.org", "443", "not listed"),
        ("localhost", "8787", "not listed"),
        ("metadata.google.internal", "80", "not listed"),
        ("127.0.0.1", "8787", "address"),
        ("169.254.169.254", "80", "address"),
        ("[::1]", "443", "address"),
        ("::1", "443", "address"),
        ("2130706433", "80", "address"),
        ("0x7f000001", "80", "address"),
        ("127.1", "80", "address"),
        ("0177.0.0.1", "80", "address"),
        ("1.2.3.0x4", "80", "address"),
        ("", "443", "malformed"),
        ("pypi..org", "443", "malformed"),
        ("py pi.org", "443", "malformed"),
        ("pypi.org\r\nX: y", "443", "malformed"),
        ("pypi.org/", "443", "malformed"),
        ("user@pypi.org", "443", "malformed"),
        ("a" * 64 + ".org", "443", "malformed"),
        ("a." * 127 + "org", "443", "malformed"),
        ("пайпи.org", "443", "malformed"),
        ("pypi.org", "0", "malformed"),
        ("pypi.org", "65536", "malformed"),
        ("pypi.org", "-1", "malformed"),
        ("pypi.org", "٤٤٣", "malformed"),
        ("pypi.org", "", "malformed"),
    ],
)
def test_what_is_asked_for_is_judged_by_its_name_and_port(host: str, port: str, why: str) -> None:
    assert denied(host, port) == why


def test_a_repository_has_hosts_of_its_own_and_patterns_are_for_what_is_below() -> None:
    assert denied("npm.acme.example", "443", "npm.acme.example") == ""
    assert denied("npm.acme.example", "443", "*.acme.example") == ""
    assert denied("acme.example", "443", "*.acme.example") == "not listed"
    assert not matches(".acme.example", ("*.acme.example",))


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(
        Denied, match=r"add it to customizations\.shipmate\.egress in \.devcontainer/devcontainer\.json"
    ):
        check(Target("evil.example", 443), REGISTRIES, (), ())


PUBLIC = ["151.101.0.223", "2a04:4e42::223"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.0.192", "::1", "::", "fe80::1",
        "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "5f00::1", "3fff::1",
    ],
)  # fmt: skip
def test_a_name_that_stands_for_an_inner_address_is_refused_even_among_others(address: str) -> None:
    check_addresses(PYPI, PUBLIC, False)
    for found in ([address], [*PUBLIC, address]):
        with pytest.raises(Denied) as why:
            check_addresses(PYPI, found, False)
        assert why.value.counted == "private"


def test_an_unknown_name_is_told_as_such() -> None:
    with pytest.raises(Denied, match="not known"):
        check_addresses(PYPI, [], False)


def test_a_host_of_ones_own_network_may_have_an_inner_address_but_never_the_clouds() -> None:
    mine = Target("npm.corp", 4873)
    assert check(mine, (), (), {mine}) is True
    check_addresses(mine, ["10.1.2.3"], True)
    for never in ("169.254.169.254", "fe80::1", "168.63.129.16", "::ffff:169.254.169.254"):
        with pytest.raises(Denied):
            check_addresses(mine, [never], True)


def test_lists_as_people_write_them() -> None:
    assert hosts_of(["none"]) == ()
    assert hosts_of(["registries", " npm.Acme.example", "*.acme.example", "pypi.org"]) == (
        *REGISTRIES, "npm.acme.example", "*.acme.example",
    )  # fmt: skip
    assert targets_of(["npm.corp", "pypi.corp:8080"]) == (Target("npm.corp", 443), Target("pypi.corp", 8080))


@pytest.mark.parametrize(
    "word", ["", "*", "*.", "*.*.example", "a.*.b.example", "10.0.0.1", "localhost", "http://pypi.org", "pypi.org:443"]
)
def test_what_is_no_pattern_is_said_to_be_none(word: str) -> None:
    with pytest.raises(ValueError, match="must be names of hosts"):
        hosts_of([word])


@pytest.mark.parametrize("word", ["10.0.0.1:80", "a b:80", "host:port", ":80"])
def test_what_is_no_target_is_said_to_be_none(word: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        targets_of([word])
