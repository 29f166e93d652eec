"""A provider on the stand-in, for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud
from tests.modal_cloud.fixtures import app, cloud, modal_boxes_process, modal_client, modal_paper_process, paper

__all__ = ["app", "cloud", "modal_boxes_process", "modal_client", "modal_paper_process", "paper"]


@pytest.fixture
async def spot(cloud: ModalCloud, tmp_path: Path) -> AsyncIterator[Spot]:
    made = Spot(cloud.url, tmp_path / "ledger")
    yield made
    await made.provider.close()
