"""The lines of a push: whatever comes is understood wholly or is malformed, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway import pktline
from bot.gateway.pktline import FLUSH, NOTHING, Asked, Command, Malformed

SHAS = st.text("0123456789abcdef", min_size=40, max_size=40)
REFS = st.from_regex(r"refs/heads/[a-z0-9/._-]{1,60}", fullmatch=True)
COMMANDS = st.lists(st.builds(Command, SHAS, SHAS, REFS), min_size=1, max_size=5)
WISHES = st.lists(st.from_regex(r"[a-z0-9=-]{1,20}", fullmatch=True), max_size=5)


def written(commands: list[Command], wishes: list[str]) -> bytes:
    lines = [" ".join(command) for command in commands]
    lines[0] += "\0 " + " ".join(wishes)
    return b"".join(pktline.line(line) for line in lines) + FLUSH


@given(COMMANDS, WISHES, st.binary(max_size=100))
def test_what_was_written_is_read_again_with_the_pack_behind_it(
    commands: list[Command], wishes: list[str], pack: bytes
) -> None:
    assert pktline.asked(written(commands, wishes) + pack) == Asked(tuple(commands), frozenset(wishes), pack)


@given(COMMANDS, WISHES, st.data())
def test_a_part_of_it_is_neither_understood_nor_malformed(
    commands: list[Command], wishes: list[str], data: st.DataObject
) -> None:
    whole = written(commands, wishes)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert pktline.asked(whole[:cut]) is None


@given(st.binary(max_size=300))
def test_noise_is_malformed_or_asks_for_nothing(noise: bytes) -> None:
    try:
        asked = pktline.asked(noise)
    except Malformed:
        return
    assert asked is None or all(command.ref.startswith("refs/") for command in asked.commands)


@given(COMMANDS, st.data())
def test_with_one_wrong_byte_it_is_malformed_or_still_well_formed(commands: list[Command], data: st.DataObject) -> None:
    whole = bytearray(written(commands, ["report-status"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        asked = pktline.asked(bytes(whole))
    except Malformed:
        return
    if asked is not None:
        assert all(len(sha) == 40 for command in asked.commands for sha in (command.old, command.new))


def test_where_a_shallow_clone_ends_is_no_command() -> None:
    said = pktline.line("shallow " + "1" * 40) + written([Command(NOTHING, "2" * 40, "refs/heads/x")], [])
    assert pktline.asked(said) == Asked((Command(NOTHING, "2" * 40, "refs/heads/x"),), frozenset(), b"")


def test_a_head_that_never_ends_is_malformed_before_it_is_held() -> None:
    endless = pktline.line(f"{NOTHING} {NOTHING} refs/heads/{'x' * 900}") * 80
    with pytest.raises(Malformed, match="too many commands"):
        pktline.asked(endless)


@given(st.dictionaries(REFS, st.none() | st.text(max_size=2_000), min_size=1, max_size=80), st.text(), st.booleans())
def test_a_report_is_lines_whatever_the_reasons_are(
    refused: dict[str, str | None], unpacked: str, banded: bool
) -> None:
    wishes = frozenset({"report-status", *(["side-band-64k"] if banded else [])})
    report = pktline.report(refused, unpacked, ["a word\nand \x1b[31m another"], wishes)
    lines, rest = _lines(report)
    assert rest == b""
    if banded:
        assert lines[0] == b"\x02a word and  [31m another\n"
        assert all(line[:1] in b"\x01\x02" for line in lines)
        lines, rest = _lines(b"".join(line[1:] for line in lines if line[:1] == b"\x01"))
        assert rest == b""
    assert lines[0].startswith(b"unpack ")
    assert [line.split()[1].decode() for line in lines[1:]] == list(refused)
    assert [line.startswith(b"ok ") for line in lines[1:]] == [why is None for why in refused.values()]


def _lines(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines up to the flush, and what follows it."""
    lines = []
    while True:
        found = pktline.first_line(data)
        assert found is not None, "the end is missing"
        line, end = found
        data = data[end:]
        if line is None:
            return lines, data
        lines.append(line)


def test_an_advertisement_of_nothing_still_tells_what_we_can() -> None:
    assert pktline.advertisement("git-receive-pack", {}, ["report-status", "quiet"]) == (
        b"001f# service=git-receive-pack\n0000" + b"0051" + b"0" * 40 + b" capabilities^{}\0report-status quiet\n0000"
    )


def test_a_branch_whose_name_is_no_text_is_told_byte_by_byte() -> None:
    told = pktline.advertisement("git-receive-pack", {"refs/heads/caf\udce9": "1" * 40}, ["quiet"])
    assert b"1" * 40 + b" refs/heads/caf\xe9\0quiet\n" in told
