"""What a box may reach, and the only place that holds secrets.

Begin with `server.py`, which mounts everything, and `access.py`, which lets in. `link*.py` is a session's line to its
runner, `git*.py` a server over mirrors, `model*.py` the way to models, `egress*.py` the way out, and `tools*.py` are
what agents may ask for.
"""
