"""Fixtures for tests on the stand-in, for a conftest.py to import. One process for all tests of a run, then emptied."""

from collections.abc import AsyncIterator, Iterator

import modal
import pytest

from sandbox import probe
from tests.modal_cloud.client import ModalCloud
from tests.sandbox.places import folder

FOUND = probe.probe()


@pytest.fixture(scope="session")
def modal_boxes_process() -> Iterator[ModalCloud]:
    """The stand-in with real processes."""
    if not FOUND.allowed:
        pytest.skip(FOUND.reason)
    with folder() as state, ModalCloud.started(state) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def modal_paper_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModalCloud]:
    """The stand-in without any."""
    with ModalCloud.started(tmp_path_factory.mktemp("paper"), "paper") as cloud:
        yield cloud


@pytest.fixture
async def cloud(modal_boxes_process: ModalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModalCloud]:
    """The stand-in, empty, with this process's environment pointed at it."""
    for name, value in modal_boxes_process.environment().items():
        monkeypatch.setenv(name, value)
    yield modal_boxes_process
    await modal_boxes_process.reset()


@pytest.fixture
async def paper(modal_paper_process: ModalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModalCloud]:
    """The stand-in on paper, empty, with this process's environment pointed at it."""
    for name, value in modal_paper_process.environment().items():
        monkeypatch.setenv(name, value)
    yield modal_paper_process
    await modal_paper_process.reset()


@pytest.fixture
async def modal_client(cloud: ModalCloud) -> modal.Client:
    """A real client of the stand-in."""
    return await cloud.client()


@pytest.fixture
async def app(modal_client: modal.Client) -> modal.App:
    """An app of the stand-in."""
    return await modal.App.lookup.aio("shipmate", create_if_missing=True, client=modal_client)
