"""The folder of sockets: ours alone, without dead ones, and never a socket that does not listen yet."""

import os
import socket
from pathlib import Path

import pytest

from bot.gateway import sockets


@pytest.fixture
def folder(short_folder: Path) -> Path:
    return short_folder / "gateway"


def dead(path: Path) -> Path:
    """What a killed process leaves behind."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    return path


def test_dead_sockets_are_cleared_away_and_living_ones_stay(folder: Path) -> None:
    sockets.prepare(folder)
    listening, path = sockets.listen(folder)
    living = path.rename(folder / "web-1.sock")  # another process's, as it were
    gone = dead(folder / "web-2.sock")
    notes = folder / "README"
    notes.touch()
    with listening:
        sockets.prepare(folder)
        assert (living.exists(), gone.exists(), notes.exists()) == (True, False, True)


def test_a_socket_has_its_name_once_it_listens_and_boxes_may_connect_but_not_write(folder: Path) -> None:
    sockets.prepare(folder)
    listening, path = sockets.listen(folder)
    with listening, socket.socket(socket.AF_UNIX) as box:
        assert path.name == f"web-{os.getpid()}.sock"
        box.connect(str(path))
        assert [entry.name for entry in folder.iterdir()] == [path.name]
    assert folder.stat().st_mode & 0o777 == 0o750
    assert path.stat().st_mode & 0o777 == 0o660
    if os.geteuid() == 0:
        assert (folder.stat().st_gid, path.stat().st_gid) == (64001, 64001)


def test_a_new_process_of_the_same_number_takes_the_place_of_a_dead_one(folder: Path) -> None:
    sockets.prepare(folder)
    dead(folder / f"web-{os.getpid()}.sock.new")
    dead(folder / f"web-{os.getpid()}.sock")
    listening, path = sockets.listen(folder)
    with listening:
        assert sockets.answers(path)
    assert not sockets.answers(path)


def test_a_busy_socket_is_not_taken_for_dead(folder: Path) -> None:
    sockets.prepare(folder)
    path = folder / "web-3.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        callers = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(str(path))
        assert sockets.answers(path)
        for caller in callers:
            caller.close()


def test_a_folder_that_a_stranger_made_is_not_used(short_folder: Path) -> None:
    elsewhere = short_folder / "elsewhere"
    elsewhere.mkdir()
    link = short_folder / "link"
    link.symlink_to(elsewhere)
    with pytest.raises(sockets.UnsafeFolder, match="SHIPMATE_GATEWAY_DIR"):
        sockets.prepare(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder another user's")
def test_a_folder_of_another_user_is_not_used(short_folder: Path) -> None:
    theirs = short_folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(sockets.UnsafeFolder, match="belongs to somebody else"):
        sockets.prepare(theirs)
