"""SESSIONS: what is true and what happens next. May import sandbox, never bot.

Begin with the pure core: `session.py` (what is true, and what may follow), `decide.py` (what a command causes),
`fold.py` (what a fact changes), `wants.py` (what is due). Then `inbox.py`, the door to it, `store.py`, where it is
kept, and `operations.py`, what workers do. `wiring.py` puts them together.
"""
