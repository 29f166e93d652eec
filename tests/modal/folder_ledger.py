"""A ledger in a folder, for tests: one file, one lock, any number of processes."""

import asyncio
import contextlib
import fcntl
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

Records = dict[str, dict[str, Any]]


class FolderLedger:
    """`sandbox.ledger.Ledger` below a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._lock = folder / "records.json", folder / "lock"
        self._slots: dict[str, asyncio.Semaphore] = {}

    @contextlib.contextmanager
    def _open(self) -> Iterator[Records]:
        """All records that are not over; what is changed is written back."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = json.loads(self._file.read_text()) if self._file.exists() else {}
            now = time.time()
            records = {key: kept for key, kept in told.items() if kept["until"] is None or kept["until"] > now}
            before = json.dumps(records)
            yield records
            if json.dumps(records) != before:
                fresh = self._file.with_suffix(".new")
                fresh.write_text(json.dumps(records))
                fresh.replace(self._file)

    async def get(self, key: str) -> dict[str, str] | None:
        with self._open() as records:
            return dict(records[key]["fields"]) if key in records else None

    async def put(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> None:
        with self._open() as records:
            records[key] = _kept(fields, ttl)

    async def put_new(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> bool:
        with self._open() as records:
            if key in records:
                return False
            records[key] = _kept(fields, ttl)
            return True

    async def drop(self, key: str) -> None:
        with self._open() as records:
            records.pop(key, None)

    async def extend(self, key: str, fields: Mapping[str, str], ttl: float) -> bool:
        with self._open() as records:
            if key not in records or records[key]["fields"] != dict(fields):
                return False
            records[key] = _kept(fields, ttl)
            return True

    async def drop_if(self, key: str, fields: Mapping[str, str]) -> bool:
        with self._open() as records:
            if key not in records or records[key]["fields"] != dict(fields):
                return False
            del records[key]
            return True

    async def keys(self, prefix: str) -> list[str]:
        return sorted(await self.all(prefix))

    async def all(self, prefix: str) -> dict[str, dict[str, str]]:
        with self._open() as records:
            return {key: dict(kept["fields"]) for key, kept in records.items() if key.startswith(prefix)}

    @contextlib.asynccontextmanager
    async def slot(self, name: str, of: int, hold: float) -> AsyncIterator[None]:
        """Of this process alone: the tests make boxes in one, or one box."""
        async with self._slots.setdefault(name, asyncio.Semaphore(of)):
            yield


def _kept(fields: Mapping[str, str], ttl: float | None) -> dict[str, Any]:
    return {"fields": dict(fields), "until": None if ttl is None else time.time() + ttl}
