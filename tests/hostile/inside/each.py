"""Tries every way of a trick and tells which one got somewhere. The tricks of this folder are written with it."""

import http.client
import subprocess


class Nothing(Exception):
    """No way got anywhere; the message says what each met."""


REFUSALS = (OSError, Nothing, MemoryError, subprocess.SubprocessError, http.client.HTTPException)


class Broken(Exception):
    """A way could not even be tried as it was meant, so that it says nothing of who refuses it."""


def each(ways):
    """Try `ways` (name → a call that raises when it is refused). What was got, or Nothing is raised."""
    got, met, broken = [], {}, []
    for name, way in ways:
        try:
            found = way()
            got.append(f"{name}: {found!r}"[:300])
        except REFUSALS as refused:
            said = getattr(refused, "strerror", None) or str(refused) or type(refused).__name__
            met.setdefault(str(said)[:80], []).append(str(name))
        except BaseException as wrong:
            broken.append(f"{name}: {type(wrong).__name__}: {wrong}"[:300])
    if broken:
        raise Broken("; ".join(broken))
    if got:
        return "; ".join(got)
    raise Nothing("; ".join(f"{said} ({len(names)})" for said, names in met.items()))


def must(found, why="nothing there"):
    """The value, if there is one."""
    if not found:
        raise Nothing(why)
    return found
