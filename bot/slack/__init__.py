"""Slack as a client: what people say comes in and is on record first; what a thread shows is made of the log.

Begin with `app.py`. In: `listeners.py`, `intake.py` (pure), `desk.py`. Out: `relay.py`, `thread.py`, `posts.py` and
`blocks.py` (pure), `writer.py`. `calls.py` keeps what Slack allows.
"""
