"""The provider on Modal keeps every promise, against the stand-in of Modal's control plane."""

import pytest

from sandbox import conformance
from tests.modal.places import Spot

NAMES = [check.__name__ for check in conformance.CHECKS]


@pytest.mark.parametrize("check", conformance.CHECKS, ids=NAMES)
async def test_boxes_on_modal_keep_the_promise(spot: Spot, check: conformance.Check) -> None:
    await check(spot)
