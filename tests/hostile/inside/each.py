"""Tries every way of a trick and tells which one got somewhere. The tricks of this folder are written with it."""


class Nothing(Exception):
    """No way got anywhere; the message says what each met."""


def each(ways):
    """Try `ways` (name → a call that raises when it is refused). What was got, or Nothing is raised."""
    got, met = [], {}
    for name, way in ways:
        try:
            found = way()
            got.append(f"{name}: {found!r}"[:300])
        except BaseException as refused:
            said = getattr(refused, "strerror", None) or str(refused) or type(refused).__name__
            met.setdefault(str(said)[:80], []).append(str(name))
    if got:
        return "; ".join(got)
    raise Nothing("; ".join(f"{said} ({len(names)})" for said, names in met.items()))


def must(found, why="nothing there"):
    """The value, if there is one."""
    if not found:
        raise Nothing(why)
    return found
