"""One at a time: who has lost its lease is cut off, and leaves that of whoever has it now alone."""

import asyncio
from pathlib import Path

import pytest

from sandbox import modal_leases
from sandbox.modal_leases import alone, under_way
from sandbox.provider import Temporary
from tests.modal.folder_ledger import FolderLedger


async def test_who_has_lost_its_lease_is_cut_off_and_the_next_one_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modal_leases, "RENEW_SECONDS", 0.02)
    ledger = FolderLedger(tmp_path)
    with pytest.raises(Temporary, match="somebody else may be at it"):
        async with asyncio.timeout(20), alone(ledger, "box", 0.0):
            await ledger.put("lease:box", {"who": "the next one"})
            await asyncio.Event().wait()
    assert await ledger.get("lease:box") == {"who": "the next one"}


async def test_a_lease_lasts_as_long_as_it_is_held_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modal_leases, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(modal_leases, "HOLD_SECONDS", 1.0)
    ledger = FolderLedger(tmp_path)
    async with alone(ledger, "box", 0.0):
        await asyncio.sleep(1.2)
        assert await under_way(ledger, "box")
        with pytest.raises(Temporary, match="somebody else is at it"):
            async with alone(ledger, "box", 0.0):
                raise AssertionError("two have it")
    assert not await under_way(ledger, "box")


async def test_being_cancelled_is_not_taken_for_a_lost_lease(tmp_path: Path) -> None:
    ledger, has = FolderLedger(tmp_path), asyncio.Event()

    async def work() -> None:
        async with alone(ledger, "box", 0.0):
            has.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await has.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not await under_way(ledger, "box")
