"""BOXES: run an agent somewhere safe. Imports neither bot nor jobs, and knows no session.

Begin with `provider.py`, the promise. `local.py` keeps it on this machine, `modal.py` on Modal, `side_by_side.py` sends
each call to where its box is. `runner/` is the program in every box, and `agents.py` the table of those who work there.
"""
