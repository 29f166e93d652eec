"""What the doctor says of a drill, and one real drill from the command line."""

import json
import os

import pytest

from bot import doctor, doctor_drill
from sandbox import probe
from sandbox.drill import SECONDS, Step
from tests.sandbox.places import folder


def test_each_step_has_a_line_with_its_time() -> None:
    found = doctor_drill.findings("modal", [Step("create", 0.84), Step("exec", 1.5)])
    assert [(one.what, one.said) for one in found[:2]] == [("modal create", "840 ms"), ("modal exec", "1.50 s")]
    assert found[-1].said == "a box was made, used, kept, restored and ended in 2.34 s"
    assert all(one.well for one in found)


def test_what_went_wrong_is_said_with_what_to_do_and_nothing_is_summed_up() -> None:
    found = doctor_drill.findings("modal", [Step("create", 0.5), Step("snapshot", 330, "it was not done in 330 s")])
    assert found[-1].said == "after 330.00 s: it was not done in 330 s"
    assert "sessions would lose what they did" in found[-1].mend


@pytest.mark.parametrize("step", [*SECONDS, "take away"])
def test_every_step_has_something_to_do_about_it(step: str) -> None:
    assert doctor_drill.findings("modal", [Step(step, 0.0, "it failed")])[0].mend


@pytest.mark.skipif(not probe.probe().allowed, reason="boxes cannot be isolated here")
def test_the_doctor_drills_with_a_real_box_when_asked(capsys: pytest.CaptureFixture[str], redis_url: str) -> None:
    with folder() as state:
        told = {"REDIS_URL": redis_url, "SHIPMATE_DATA_DIR": str(state), "PATH": os.environ["PATH"]}
        doctor.check(told, as_json=True, drill=True)
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert all(not found[f"local {step}"]["mend"] for step in SECONDS)
