"""What runs inside the box: standard library only, Python 3.9 or newer. It starts with every box, so imports count.

Begin with `__main__.py`, which starts the agent first of all, and `life.py`, which puts the rest together: `link.py` to
the gateway, `turns.py` for each prompt, `acp.py` to the agent, `sync.py` and `delivery.py` for the repository.
"""
