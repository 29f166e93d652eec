"""Bad days on Modal, as they have hit others: what goes wrong, and what must come of it. `test_bad_days.py` plays them.

`python -m tests.modal` (or `make modal-days`) plays all and prints the table. Each day gets the stand-in and a fresh
provider on it, orders the trouble, and returns in a few words what came of it, or raises AssertionError.
"""

from tests.modal import days_of_boxes, days_of_snapshots
from tests.modal.bad_day import DAYS, Day

__all__ = ["DAYS", "Day", "days_of_boxes", "days_of_snapshots"]
