"""What a repository's recipe chooses: where the settings and people did not, and only what can be done here."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import commands as c
from jobs.image_records import Image
from jobs.recipe_choices import MOST_WARM, Suited, not_followed, suited, warm_boxes
from jobs.settings import JobSettings
from jobs.store import Store
from jobs.warm import WarmPool
from sandbox.recipe import Recipe
from tests.jobs.shop import ROCKET, Bench, bench

MODEL = "anthropic/claude-small"
ASKS = Recipe(where="f", agent="rehearsal", model=MODEL, warm_boxes=1)


def settings(tmp_path: Path, **environment: str) -> JobSettings:
    return JobSettings.from_env({"SHIPMATE_DATA_DIR": str(tmp_path), "SHIPMATE_REPOSITORIES": ROCKET} | environment)


FAR = {"SHIPMATE_PLACE": "modal", "SHIPMATE_PUBLIC_URL": "https://shipmate.example"}
CHOSEN = [
    ("all of it where nothing is set", {}, ASKS, ("rehearsal", MODEL), ()),
    ("no agent beside that of the settings", {"SHIPMATE_AGENT": "rehearsal"}, ASKS, ("", MODEL), ("agent: what the",)),
    ("no model beside that of the settings", {"SHIPMATE_MODEL": "openai/x"}, ASKS, ("rehearsal", ""),
     ("model: what the",)),
    ("no agent that is not known", {}, replace(ASKS, agent="nobody"), ("", ""), ("no agent called 'nobody'",)),
    ("no agent that is not installed", {}, replace(ASKS, agent="claude"), ("", ""), ("claude is not installed here",)),
    ("no agent that boxes elsewhere do not have", FAR, replace(ASKS, agent="claude"), ("", ""),
     ("SHIPMATE_MODAL_AGENTS=claude",)),
    ("one that they have, installed here or not", FAR | {"SHIPMATE_MODAL_AGENTS": "opencode, claude"},
     replace(ASKS, agent="claude"), ("claude", MODEL), ()),
    ("no model of nobody's", {}, replace(ASKS, model="nobody/x"), ("", ""), ("a model is written",)),
    ("no command of its own", {}, replace(ASKS, agent="custom"), ("", ""), ("SHIPMATE_AGENT_COMMAND",)),
    ("nothing if it asks for nothing", {}, Recipe(where="f"), ("", ""), ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("env", "recipe", "chosen", "log"), [row[1:] for row in CHOSEN], ids=[row[0] for row in CHOSEN]
)
def test_a_recipe_chooses(
    tmp_path: Path, env: dict[str, str], recipe: Recipe, chosen: tuple[str, str], log: tuple[str, ...]
) -> None:
    at = settings(tmp_path, SHIPMATE_AGENTS_DIR=str(tmp_path / "agents"), **env)
    assert suited(at, ROCKET, recipe) == Suited(*chosen)
    said = not_followed(at, ROCKET, recipe)
    assert len(said) == len(log) and all(words in line for words, line in zip(log, said, strict=True))
    assert suited(at, ROCKET, None) == Suited()


def test_a_recipe_has_boxes_wait_but_not_many_and_not_beside_the_settings(tmp_path: Path) -> None:
    greedy = replace(ASKS, warm_boxes=20)
    assert [warm_boxes(settings(tmp_path), ROCKET, each) for each in (ASKS, greedy, None)] == [1, MOST_WARM, 0]
    assert "2 is the most" in "".join(not_followed(settings(tmp_path), ROCKET, greedy))
    set_up = settings(tmp_path, SHIPMATE_WARM=f"{ROCKET}:5")
    assert [warm_boxes(set_up, name, greedy) for name in (ROCKET, "a/b")] == [5, 0]


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        image = Image(repository=ROCKET, snapshot="0" * 16, built_at=1.0, bytes=1, recipe=ASKS.to_json())
        await store.images.add(image)
        yield opened


async def test_a_session_begins_as_the_recipe_of_its_repository_says_and_so_does_a_box_that_waits_for_it(
    at: Bench,
) -> None:
    session = await at.ask()
    assert (session.agent, session.model) == ("rehearsal", MODEL)
    (wanted,) = await WarmPool(at.shop)._wanted()
    assert (wanted.number, wanted.fit) == (1, at.shop.fit(ROCKET, "rehearsal", MODEL))


async def test_a_repository_that_is_chosen_later_has_its_say_then(at: Bench) -> None:
    asked = await at.ask(c.Choice(options=(ROCKET, "acme/b"), reason="which?"))
    assert asked.model == ""
    assert (await at.ask()).model == MODEL
