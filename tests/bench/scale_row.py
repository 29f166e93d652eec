"""`control_plane_1000`: a thousand sessions asked for within a minute, on Modal on paper; `tests/scale` plays it."""

import time

from tests.bench.measure import Row, row
from tests.scale.run import everything
from tests.scale.town import town

SESSIONS, A_SECOND, CREATE_SECONDS = 1000, 20.0, 1.0


async def control_plane_1000(sessions: int = SESSIONS) -> list[Row]:
    """How long each waits from its mention until its agent has the prompt, and what all that takes."""
    began = time.time()
    async with town(CREATE_SECONDS) as there:
        told = {one.name: one.value for one in await everything(there, sessions, sessions, A_SECOND, 0.0)}
    waits = [told[f"burst: asked → prompt delivered, p{share}"] for share in (50, 95)]
    note = (
        f"asked → prompt delivered, {A_SECOND:g} mentions a second, a create takes {CREATE_SECONDS:g} s;"
        f" Redis {told['burst: memory of Redis a session'] / 1000:.0f} kB and web"
        f" {told['burst: memory of web a session'] / 1000:.0f} kB a session,"
        f" {told['prompt: commands of Redis']:.0f} commands of Redis a prompt,"
        f" all links back {told['web killed: links back, p100']:.1f} s after web was killed"
    )
    made = row("control_plane_1000", waits, [], began, note, unit="s")
    return [Row(**{**vars(made), "n": sessions, "p50": round(waits[0], 2), "p95": round(waits[1], 2)})]
