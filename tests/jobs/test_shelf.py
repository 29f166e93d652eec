"""Files of agents on this machine: kept whole or not at all, under names of ours, and let go when they are old."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.shelf import NAME_CHARS, Shelf, TooLarge, clean_name
from tests.waiting import while_others_run


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for one in data:
        yield one


async def test_what_is_kept_is_whole_and_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files")
    await shelf.keep("s1", "f1", pieces(b"old"), 10)
    kept = await shelf.keep("s1", "f1", pieces(b"ne", b"w"), 3)
    assert (kept.bytes, kept.digest[:8]) == (3, "11507a0e")
    assert shelf.path("s1", "f1").read_bytes() == b"new"
    with pytest.raises(TooLarge):
        await shelf.keep("s1", "f1", pieces(b"ne", b"we"), 3)
    assert [path.name for path in (tmp_path / "files/s1").iterdir()] == ["f1"]


async def test_others_get_on_while_a_file_is_brought_to_the_disk(tmp_path: Path) -> None:
    _, turns = await while_others_run(Shelf(tmp_path).keep("s1", "f1", pieces(b"x"), 3))
    assert turns > 0


@pytest.mark.parametrize("odd", ["", ".", "..", "../s1", "a/b", "/etc", "a\0b", "é", "-x", "x" * 200])
def test_nothing_but_an_id_is_a_place(tmp_path: Path, odd: str) -> None:
    for sid, file in ((odd, "f1"), ("s1", odd)):
        with pytest.raises(ValueError, match="no id"):
            Shelf(tmp_path).path(sid, file)


async def test_files_are_let_go_long_after_the_last_one_came(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files")
    shelf.forget_old(1.0)
    for sid in ("s1", "s2"):
        await shelf.keep(sid, "f1", pieces(b"x"), 3)
    os.utime(tmp_path / "files/s1", (0, time.time() - 100.0))
    shelf.forget_old(50.0)
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["s2"]


NAMES = {
    "shot.png": "shot.png",
    "/work/repo/out/shot.png": "shot.png",
    "C:\\temp\\shot.png": "shot.png",
    "../..": "file",
    "": "file",
    ".hidden": "hidden",
    "a\u202egnp.exe": "agnp.exe",
    'a"b<c>|d:e*?.txt': "a b c d e .txt",
    "x" * 200 + ".png": "x" * (NAME_CHARS - 4) + ".png",
}


@pytest.mark.parametrize("path", NAMES)
def test_names_are_what_people_may_see_and_save(path: str) -> None:
    assert clean_name(path) == NAMES[path]


@given(st.text())
def test_no_name_is_empty_long_or_a_path(path: str) -> None:
    name = clean_name(path)
    assert 0 < len(name) <= NAME_CHARS and "/" not in name and "\0" not in name and name not in (".", "..")
    assert clean_name(name) == name
