"""What is decided about Modal without asking it: the table of errors, what boxes may reach, records, programs."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import grpclib.exceptions as g
import modal.exception as m
import pytest
from grpclib import Status
from hypothesis import given
from hypothesis import strategies as st

from sandbox import modal_base
from sandbox.modal_entry import ASK, ENTRYPOINT, HEAD_BYTES, opening
from sandbox.modal_errors import QUOTA, ROWS, Doing, meaning, told
from sandbox.modal_place import HARD_SECONDS, KEPT_SECONDS, ModalPlace, cores, memory, outbound
from sandbox.modal_records import BoxRecord, SnapshotRecord, exit_code
from sandbox.provider import Barred, BoxError, Gone, Limits, Missing, Permanent, SnapshotKind, Temporary, Unreachable

T, U, P, B = Temporary, Unreachable, Permanent, Barred
MEANINGS = [  # the error; what it means for an image, a box made, used, copied, for Modal asked, the app opened
    (m.AuthError("x"), (B, B, B, B, B, B)),
    (m.PermissionDeniedError("x"), (B, B, B, B, B, B)),
    (m.VersionError("x"), (B, B, B, B, B, B)),
    (m.ImageBuildError("x", "im-1"), (P, P, P, P, P, P)),
    (m.NotFoundError("x"), (Missing, T, Gone, Gone, P, B)),
    (m.ConflictError("x"), (T, T, Gone, Gone, T, T)),
    (m.SandboxTimeoutError("x"), (Gone, Gone, Gone, Gone, Gone, Gone)),
    (m.SandboxTerminatedError("x"), (Gone, Gone, Gone, Gone, Gone, Gone)),
    (m.SnapshotCreationError("x"), (Gone, Gone, Gone, Gone, Gone, Gone)),
    (m.ResourceExhaustedError("x"), (T, T, T, T, T, T)),
    (m.InvalidError("x"), (P, P, P, P, P, B)),
    (m.AlreadyExistsError("x"), (T, T, T, T, T, T)),
    (m.TimeoutError("x"), (T, T, U, T, T, T)),
    (m.ExecTimeoutError("x"), (T, T, U, T, T, T)),
    (TimeoutError(), (T, T, U, T, T, T)),
    (m.ServiceError("x"), (T, T, U, U, T, T)),
    (m.InternalError("x"), (T, T, U, U, T, T)),
    (m.ConnectionError("x"), (T, T, U, U, T, T)),
    (m.ClientClosed(1), (T, T, U, U, T, T)),
    (g.GRPCError(Status.UNAVAILABLE), (T, T, U, U, T, T)),
    (g.StreamTerminatedError("x"), (T, T, U, U, T, T)),
    (ConnectionResetError("x"), (T, T, U, U, T, T)),
]


@pytest.mark.parametrize(("error", "kinds"), MEANINGS, ids=[type(error).__name__ for error, _ in MEANINGS])
def test_each_error_has_its_meaning(error: Exception, kinds: tuple[type[BoxError], ...]):
    assert tuple(type(meaning(error, doing)) for doing in Doing) == kinds


def test_every_error_of_modals_has_a_meaning_whatever_was_done():
    errors = [kind for kind in vars(m).values() if isinstance(kind, type) and issubclass(kind, m.Error)]
    assert len(errors) > 20
    for kind in errors:
        assert all(isinstance(meaning(kind.__new__(kind), doing), BoxError) for doing in Doing), kind


def test_a_fault_of_ours_stays_one():
    with pytest.raises(KeyError), told(Doing.USE):
        raise KeyError("ours")
    with pytest.raises(Missing, match="as it was"), told(Doing.USE):
        raise Missing("as it was")


def test_what_modal_said_is_bounded_and_the_delay_is_told():
    failed = meaning(m.ResourceExhaustedError("no more\n" * 1000), Doing.MAKE)
    assert isinstance(failed, Temporary) and failed.delay == QUOTA and len(str(failed)) < 500
    assert 3 * QUOTA > 600, "four tries outlast ten minutes"


def test_no_row_of_the_table_is_hidden_by_one_above():
    seen: set[tuple[str, Doing]] = set()
    for row in ROWS:
        fresh = {(row.error, doing) for doing in row.doing}
        assert not fresh & seen, row
        seen |= fresh


def place(**more: object) -> ModalPlace:
    return ModalPlace("ak-1", "as-1", **{"gateway": "https://ship.example.com", **more})  # type: ignore[arg-type]


def test_a_box_reaches_the_gateway_and_what_was_named():
    assert outbound(place()) == ((), ("ship.example.com",))
    assert outbound(place(more_hosts=("mirror.example.com",)), ("api.example.org:443", "*.example.net")) == (
        (),
        ("ship.example.com", "mirror.example.com", "api.example.org", "*.example.net"),
    )
    assert outbound(place(gateway="https://10.1.2.3:8443")) == (("10.1.2.3/32",), ())


def test_a_gateway_with_a_name_must_be_at_the_port_that_modal_lets_through():
    with pytest.raises(Permanent, match="443"):
        outbound(place(gateway="https://ship.example.com:8443"))


@pytest.mark.parametrize("seconds", [0, -1, HARD_SECONDS + 1])
def test_a_box_lives_no_longer_than_modal_lets_it(seconds: float):
    with pytest.raises(Permanent):
        place(box_seconds=seconds).check()


@given(st.floats(60, HARD_SECONDS))
def test_our_own_end_comes_before_modals(seconds: float):
    assert 0 < place(box_seconds=seconds).longest_seconds < seconds


def test_secrets_are_in_no_repr():
    assert "as-1" not in repr(place())


def test_every_kind_of_snapshot_is_kept_for_a_time_that_we_name():
    assert set(KEPT_SECONDS) == set(SnapshotKind)


@pytest.mark.parametrize(("asked", "had"), [(None, 2.0), (0.5, 0.5), (8.0, 2.0)])
def test_a_recipe_may_ask_for_fewer_cores_not_for_more(asked: float | None, had: float):
    assert cores(place(cores=2.0), Limits(cores=asked)) == had


def test_memory_is_asked_for_in_mebibytes():
    assert memory(Limits()) == (1024, 4096)
    assert memory(Limits(memory_bytes=256 << 20)) == (256, 256)
    assert memory(Limits(memory_bytes=None)) is None


@given(st.builds(BoxRecord, st.dictionaries(st.text(), st.text()), st.floats(0, 1e10), st.none() | st.text()))
def test_a_record_of_a_box_comes_back_as_it_was_written(record: BoxRecord):
    assert BoxRecord.read(record.written()) == record
    tomorrow = json.dumps({**json.loads(record.written()["json"]), "of tomorrow": []})
    assert BoxRecord.read({"json": tomorrow}) == record


def test_a_record_of_a_snapshot_comes_back_as_it_was_written():
    record = SnapshotRecord("im-1", "turn", 12.5, 99.0, "r", "a")
    assert SnapshotRecord.read(record.written()) == record
    assert record.snapshot("s").kind is SnapshotKind.TURN


def test_an_end_that_was_seen_first_counts():
    ended = BoxRecord({}, 0.0).has_ended(5.0, 137)
    assert ended.has_ended(9.0, 0) == ended


@pytest.mark.parametrize(("code", "ending", "told"), [(137, 0.0, 137), (137, 5.0, -15), (0, 5.0, 0), (124, 5.0, 124)])
def test_who_was_ended_by_us_did_not_run_out_of_memory(code: int, ending: float, told: int):
    assert exit_code(code, ending) == told


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_what_comes_before_the_greeting_says_how_long_it_is(archive: bytes, ca: bytes):
    words = opening(archive, ca) + b"greeting\n"
    first, second = map(int, words[:HEAD_BYTES].split())
    rest = words[HEAD_BYTES:]
    assert (zlib.decompress(rest[:first]) if first else b"") == archive
    assert rest[first : first + second] == ca and rest[first + second :] == b"greeting\n"


@pytest.mark.parametrize("argv", [ENTRYPOINT, ASK], ids=["entry", "ask"])
def test_the_programs_of_a_box_are_small_and_compile(argv: tuple[str, ...]):
    assert sum(map(len, argv)) < 65_536 / 8
    compile(argv[-1], "box", "exec")


def test_agents_are_installed_by_the_files_that_are_copied_and_no_others(tmp_path: Path):
    here = Path(modal_base.__file__).parent
    files = [
        path for path in here.rglob("*") if path.is_file() and not modal_base._is_not_needed(path.relative_to(here))
    ]
    for path in files:
        target = tmp_path / "sandbox" / path.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = modal_base.installing(["rehearsal", "claude"])[1].partition(" && ")[2]
    done = subprocess.run(
        ("sh", "-c", command.replace("python3", sys.executable, 1)), cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b""), "of an agent that is part of us nothing is fetched"
    assert {path.name for path in files} >= {"agents.py", "package-lock.json"} and "modal.py" not in {
        p.name for p in files
    }


def test_other_agents_are_another_image():
    assert modal_base.agents_key(["opencode"]) != modal_base.agents_key(["opencode", "claude"])
    assert modal_base.agents_key(["opencode"]) == modal_base.agents_key(["opencode"])
