"""Ids as the client tells them apart: a `sb-` with 26 letters is of the second generation, and so is `ta-…V`."""

import secrets

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(moment: float) -> str:
    """26 letters that sort by their moment."""
    number = (int(moment * 1000) << 80) | secrets.randbits(80)
    return "".join(LETTERS[(number >> 5 * place) & 31] for place in range(25, -1, -1))
