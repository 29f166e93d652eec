"""`shipmate cost`: what the boxes of the sessions on record cost on Modal, or would cost there. Called by `bot/cli.py`.

A dry run: nothing is asked of anybody but the record, so it works before there is an account (`jobs/box_costs.py`
reckons). Exit codes: 0 done, 1 there is nothing to reckon with, 2 used wrongly.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.program import in_workshop
from jobs.box_costs import HOUR, MODAL, Estimate, Rates, Size, Use, estimate, use_of
from jobs.settings import JobSettings
from jobs.wiring import Workshop
from sandbox.modal_place import memory

DONE, NOTHING = 0, 1
MIB_OF_GIB = 1024
LEAST_MIB = 128  # that Modal gives a box for which nothing is asked


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Reckon and print; returns the exit code."""
    return reckon(args, JobSettings.from_env(env))


def reckon(args: argparse.Namespace, settings: JobSettings) -> int:
    """The same with settings that were read already."""
    return in_workshop(settings, lambda shop: _tell(shop, args))


async def _tell(shop: Workshop, args: argparse.Namespace) -> int:
    size, rates = _size(shop.settings, args), _rates(args)
    sids = [args.session] if args.session else await shop.store.counts.newest(args.sessions)
    uses = [use_of(await shop.store.events(sid), shop.clock()) for sid in sids]
    found = estimate(uses, size, rates)
    unused = (await shop.store.counts.totals()).get("warm:unused_seconds", 0.0)
    if args.as_json:
        print(json.dumps(_as_json(found, size, rates, unused), indent=2))
    elif found.sessions:
        print("\n".join(_lines(found, uses, size, rates, unused)))
    else:
        print("No session on record had a box yet, so there is nothing to reckon with.")
    return DONE if found.sessions else NOTHING


def _size(settings: JobSettings, args: argparse.Namespace) -> Size:
    """What a box asks for, if nothing else is said; it is charged for more if it uses more."""
    least, _ = memory(settings.limits) or (LEAST_MIB, 0)
    return Size(args.cores or settings.modal.cores, (args.memory_mb or least) / MIB_OF_GIB)


def _rates(args: argparse.Namespace) -> Rates:
    return Rates(
        args.core_hour / HOUR if args.core_hour else MODAL.core_second,
        args.gib_hour / HOUR if args.gib_hour else MODAL.gib_second,
    )


def _as_json(found: Estimate, size: Size, rates: Rates, unused: float) -> dict[str, Any]:
    return {
        **asdict(found),
        "cores": size.cores,
        "gib": size.gib,
        "core_hour": rates.core_second * HOUR,
        "gib_hour": rates.gib_second * HOUR,
        "warm_unused_seconds": unused,
        "warm_unused_dollars": size.dollars(unused, rates),
    }


def _lines(found: Estimate, uses: list[Use], size: Size, rates: Rates, unused: float) -> list[str]:
    one = found.sessions == 1
    said = [
        f"{_of(found.sessions, 'session')} with {_of(found.boxes, 'box', 'boxes')} and {_of(found.turns, 'turn')}:"
        f" {_time(found.seconds)} of boxes, {found.idle_share:.0%} of it without a turn under way.",
        f"A box that uses no more than {size.cores:g} {'core' if size.cores == 1 else 'cores'} and {size.gib:g} GiB"
        f" costs ${size.dollars(HOUR, rates):.3f} an hour"
        f" (${rates.core_second * HOUR:.4f} a core, ${rates.gib_second * HOUR:.4f} a GiB).",
    ]
    if one:
        return [*said, f"Its boxes come to ${found.dollars:.4f}; its models took ${found.model:.2f}."]
    said += [
        f"A session: {_time(found.seconds_p50)}, ${found.dollars_p50:.4f}; 95 in 100 stay below"
        f" {_time(found.seconds_p95)}, ${found.dollars_p95:.4f}.",
        f"A thousand like these: ${found.dollars_of_thousand:.2f}. These models took ${found.model:.2f} in all.",
    ]
    if unused:
        said.append(f"Warm boxes that nobody took: {_time(unused)} so far, ${size.dollars(unused, rates):.2f}.")
    return [*said, "Not in it: builds of images, and what a plan or a region adds. docs/modal.md says what is known."]


def _of(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
