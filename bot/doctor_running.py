"""What `shipmate doctor` says of that which runs: sessions, links, boxes, queues, memory, lag, disks. Pure.

`doctor.py` takes the census and counts the gateways. Before anything was started nothing is wrong here: a process is
missed only when something waits for it.
"""

from collections.abc import Iterator, Mapping

from bot.findings import Finding
from jobs.census import AT_REST, Census
from jobs.session import Status

GIB = 1 << 30
START_SECONDS = 480.0  # a first clone may take 300
LAG_SECONDS = 120.0
MEMORY_SHARE, DISK_SHARE, DISK_BYTES = 0.8, 0.05, 2 * GIB
ATTACHED = (Status.PREPARING, Status.IDLE, Status.WORKING, Status.STOPPING)


def findings(census: Census, gateways: int) -> list[Finding]:
    """All lines. `gateways`: how many web processes answer boxes on this machine."""
    return [
        _sessions(census), _links(census, gateways), _boxes(census), *_warm(census),
        *_images(census), _upkeep(census), *_queues(census),
        _lag(census), _memory(census), _writes(census), *_disks(census),
    ]  # fmt: skip


def _sessions(census: Census) -> Finding:
    under_way = {status: count for status, count in census.sessions.items() if status not in (AT_REST, "closed")}
    rest = f"{census.sessions.get(AT_REST, 0)} at rest, {census.sessions.get('closed', 0)} closed"
    said = f"{_listed(under_way) or 'none under way'}; {rest}"
    if census.waiting:
        said += f"; {census.waiting} prompts wait, the oldest for {_time(census.waiting_seconds)}"
    late = census.waiting_seconds > START_SECONDS
    return Finding("sessions", said, "see the lines below, and the log of the worker of `boxes`" if late else "")


def _links(census: Census, gateways: int) -> Finding:
    attached = sum(census.sessions.get(status, 0) for status in ATTACHED)
    calling = census.sessions.get(Status.CONNECTING, 0)
    said = f"{attached} boxes connected, {calling} connecting; {gateways} web processes answer them"
    alone = not gateways and (attached or calling)
    return Finding("links", said, "start `shipmate web`: boxes wait for it and lose nothing meanwhile" if alone else "")


def _boxes(census: Census) -> Finding:
    if census.boxes is None:
        return Finding("boxes", "they could not be listed", "see the line about isolation and the folder of boxes")
    said = f"{_listed(census.boxes) or 'none'}, {len(census.strays)} without a session"
    said += f"; {census.queued} sessions wait for one (SHIPMATE_BOXES)" if census.queued else ""
    if not census.strays:
        return Finding("boxes", said)
    return Finding("boxes", f"{said} ({', '.join(census.strays[:3])})", "start `shipmate upkeep`, which ends them")


def _warm(census: Census) -> Iterator[Finding]:
    """How the pools are, and whether they pay. Nothing where no warm box is wanted, was, or is."""
    totals = census.totals
    starts = {kind: int(totals.get(f"start:{kind}", 0)) for kind in ("warm", "image", "cold")}
    if census.warm or starts["warm"] or totals.get("warm:unused"):
        pools = ", ".join(f"{pool.repository} {pool.waiting} of {pool.wanted}" for pool in census.warm)
        hits = f"{starts['warm']} of {sum(starts.values())} fresh starts were warm"
        unused = f"{totals.get('warm:unused', 0):.0f} ended unused after {_time(totals.get('warm:unused_seconds', 0))}"
        idle = any(pool.wanted and not (pool.waiting or pool.filling) for pool in census.warm)
        mend = "see the logs of the upkeep and of the worker of `boxes`" if idle else ""
        yield Finding("warm boxes", f"{pools or 'none wanted'}; {hits}; {unused} in all", mend)


def _upkeep(census: Census) -> Finding:
    if census.upkeep:
        return Finding("upkeep", "at work")
    busy = any(count for status, count in census.sessions.items() if status not in (AT_REST, "closed"))
    return Finding("upkeep", "none at work", "start `shipmate upkeep`" if busy else "")


def _queues(census: Census) -> Iterator[Finding]:
    for name, waiting in census.queues.items():
        alive = census.workers.get(name, 0)
        mend = f"start `shipmate worker --queue {name}`" if waiting and not alive else ""
        yield Finding(f"queue {name}", f"{waiting} jobs wait, {alive} workers alive", mend)


def _lag(census: Census) -> Finding:
    if not census.unshown:
        return Finding("threads", "every thread shows all of its log")
    said = f"{census.unshown} threads are being written, the one behind most by {_time(census.lag_seconds)}"
    mend = "see the lines about Slack, and the web process's log for what Slack answers; no work is lost"
    return Finding("threads", said, mend if census.lag_seconds > LAG_SECONDS else "")


def _memory(census: Census) -> Finding:
    used, limit = census.server.used, census.server.limit
    if not limit:
        return Finding("memory of Redis", f"{_size(used)}; it has no limit of its own (maxmemory)")
    mend = "raise maxmemory, or let sessions be archived sooner (SHIPMATE_CLOSE_SECONDS)"
    full = used > MEMORY_SHARE * limit
    return Finding("memory of Redis", f"{_size(used)} of {_size(limit)}", mend if full else "")


def _writes(census: Census) -> Finding:
    if census.server.written:
        return Finding("writes of Redis", "well")
    return Finding("writes of Redis", "its last write failed, so it takes none", "free space on its disk; see its log")


def _images(census: Census) -> Iterator[Finding]:
    """How old each repository's environment is, and why a newer one could not be made."""
    for image in census.images:
        said = "none yet: sessions begin with a clone" if image.age is None else f"built {_time(image.age)} ago"
        mend = f"see `shipmate images log {image.repository}`" if image.failures else ""
        if image.failures:
            said += f"; the last {image.failures} builds failed: {image.reason[:200]}"
        yield Finding(f"image of {image.repository}", said, mend)


def _disks(census: Census) -> Iterator[Finding]:
    mends = {
        "data": "free space (docs/running.md says how)",
        "boxes": "free space (docs/running.md says how), or lower SHIPMATE_IDLE_SECONDS and SHIPMATE_KEEP_SECONDS",
    }
    for name, disk in census.disks.items():
        low = disk.free < max(DISK_BYTES, DISK_SHARE * disk.size)
        said = f"{_size(disk.free)} free of {_size(disk.size)}"
        yield Finding(f"disk of {name}", said, mends[name] if low else "")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GB" if count >= GIB else f"{count / (1 << 20):.0f} MB"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
