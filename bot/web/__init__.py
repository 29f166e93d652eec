"""The read-only page of a session behind a signed link (`pages.py`, `links.py`), and the files that it shows."""
