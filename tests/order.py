"""What one process of a test run does, and what begins first. `conftest.py` hands it to pytest-xdist.

The tests of a file stay together, and so do files that share what takes long to start: a whole stack for all of them,
not one for each process. What takes longest begins first, for all the others would wait for it at the end.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

OFFICE, CAREFUL, SITE = "tests/e2e/test_main_job.py", "tests/e2e/test_children.py", "tests/kills/test_short.py"
# Files that are done together with another: those that work in the same office, or on the same site.
WITH = dict.fromkeys(
    (
        "tests/e2e/test_bad_days.py",
        "tests/e2e/test_bad_input.py",
        "tests/e2e/test_boxes.py",
        "tests/e2e/test_delivery.py",
        "tests/e2e/test_kills.py",
        "tests/e2e/test_metrics.py",
        "tests/e2e/test_people.py",
        "tests/e2e/test_stops.py",
        "tests/e2e/test_story.py",
        "tests/e2e/test_trouble.py",
    ),
    OFFICE,
) | {"tests/kills/test_several.py": SITE, "tests/e2e/test_budget.py": CAREFUL}
# What takes longest, the longest first. The others follow by the number of their tests.
LONG = (
    OFFICE,
    "tests/e2e/test_command_line.py",
    SITE,
    "tests/e2e/test_modal.py",
    "tests/jobs/test_operations.py",
    "tests/playground/test_model.py",
    "tests/hostile/test_hostile.py",
    "tests/gateway/test_with_runner.py",
    "tests/modal/test_bad_days.py",
    "tests/runner/test_files.py",
    "tests/jobs/test_worker.py",
    "tests/jobs/test_image_trouble.py",
    "tests/playground/test_page.py",
    "tests/playground/test_page_window.py",
    "tests/gateway/test_git_fetch.py",
    "tests/runner/test_nothing_lost.py",
    "tests/sandbox/test_local.py",
    "tests/gateway/test_git_hostile.py",
    "tests/runner/test_delivery.py",
    "tests/sandbox/test_conformance.py",
    CAREFUL,
    "tests/jobs/test_images.py",
    "tests/jobs/test_worker_threads.py",
    "tests/gateway/test_git_push.py",
    "tests/runner/test_forward.py",
    "tests/runner/test_link.py",
    "tests/secrets/test_full_run.py",
    "tests/sandbox/test_keeping.py",
    "tests/runner/test_gate.py",
    "tests/e2e/test_restarts.py",
    "tests/web/test_pages.py",
    "tests/test_cli.py",
    "tests/modal/test_cloud_faults.py",
    "tests/test_doctor.py",
    "tests/test_images_command.py",
    "tests/e2e/test_warm.py",
    "tests/runner/test_unruly.py",
    "tests/jobs/test_upkeep.py",
    "tests/jobs/test_warm_pool.py",
    "tests/fuzz/test_what_comes_from_a_box.py",
    "tests/rehearsal/test_rehearsal.py",
    "tests/slack/test_thread.py",
    "tests/modal/test_conformance.py",
    "tests/fuzz/test_what_comes_from_outside.py",
    "tests/playground/test_page_blocks.py",
    "tests/runner/test_agents.py",
    "tests/gateway/test_upgrade.py",
    "tests/jobs/test_snapshots.py",
    "tests/sandbox/test_unisolated.py",
    "tests/sandbox/test_drill.py",
)
_RANKS = {file: rank for rank, file in enumerate(LONG)}


def unit_of(test: str) -> str:
    """What a test is done together with, by the name of a file."""
    file = test.partition("::")[0]
    return WITH.get(file, file)


def rank(unit: str, tests: int) -> tuple[int, int]:
    """The smaller, the sooner a unit of so many tests begins."""
    return _RANKS.get(unit, len(LONG)), -tests


class LongestFirst(LoadScopeScheduling):
    """Each process takes the longest unit that is left when it is nearly done with the one before."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        first = min(self.workqueue, key=lambda unit: rank(unit, len(self.workqueue[unit])))
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)
