"""Boxes are started, put to sleep and woken, by one worker or by several, whatever fails meanwhile. Real boxes."""

import json
from collections.abc import AsyncIterator

import pytest

from jobs import commands as c
from jobs.events import BoxStarted, Noted, ParkFailed, PromptWithdrawn, StartAbandoned, StartFailed
from jobs.image_records import Image
from jobs.inbox import hash_token
from jobs.operations import greeting, park_box, park_if_due, start_box
from jobs.records import Grant, Unnamed
from jobs.session import Status
from jobs.store import Store
from sandbox.provider import Barred, BoxSpec, BoxState, Gone, Permanent, Temporary, Unreachable
from tests.jobs import test_commands as given_a
from tests.jobs.shop import ROCKET, Bench, bench

S = Status


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        yield opened


async def started(at: Bench) -> str:
    """A session with a box whose runner has attached; the box."""
    await at.ask()
    await start_box(at.shop, at.sid)
    return (await at.do(c.Attach(1, 1))).box or ""


async def write(at: Bench, box: str, words: str) -> None:
    wrote = await at.shop.provider.exec(box, ("sh", "-c", f"echo {words} >> words"))
    assert wrote.code == 0, wrote.stderr


async def read(at: Bench, box: str) -> str:
    return (await at.shop.provider.exec(box, ("cat", "words"))).stdout.decode()


async def test_a_waiting_session_gets_a_box(at: Bench) -> None:
    await at.ask()
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.box, session.start) == (S.CONNECTING, f"{at.sid}-1", "cold")
    assert not session.isolated
    info = await at.shop.provider.status(f"{at.sid}-1")
    assert info.state is BoxState.RUNNING
    assert info.labels == {"session": at.sid, "generation": "1", "wire": "1"}
    assert "box" in await at.shop.store.stamps(at.sid)


async def test_the_greeting_has_what_a_runner_needs_and_its_token(at: Bench) -> None:
    session = (await at.ask()).model_copy(update={"conversation": "conversation-1"})
    grant = Grant(at.sid, "b", 3, ROCKET, "serve", f"shipmate/{at.sid}")
    line = greeting(at.shop, grant, "the-token", "main", session)
    assert line.endswith(b"\n")
    said = json.loads(line)
    assert said.pop("agent")["name"] == "rehearsal"
    assert said == {
        "wire": 1, "token": "the-token", "box": "b", "generation": 3, "repository": ROCKET, "base_branch": "main",
        "gateway": f"unix:{at.shop.settings.gateway_dir}", "branch": f"shipmate/{at.sid}", "mode": "serve",
        "conversation": "conversation-1", "limits": {"turn_seconds": 1800.0, "sync_seconds": 300.0},
    }  # fmt: skip


async def test_a_second_worker_and_one_that_is_not_needed_make_nothing(at: Bench) -> None:
    await started(at)
    await start_box(at.shop, at.sid)
    await start_box(at.shop, "snobody")
    assert len(await at.shop.provider.list()) == 1
    assert (await at.session()).generation == 1


async def test_a_box_that_comes_too_late_is_ended_and_its_token_with_it(at: Bench) -> None:
    await at.ask()

    async def somebody_else_takes_over() -> None:
        at.provider.before.clear()
        at.clock.ahead += at.shop.settings.rules.start_seconds + 1
        await at.do(c.BeginStart(1))
        await at.shop.provider.create(BoxSpec(f"{at.sid}-2", b'{"wire": 1, "mode": "idle"}\n'))
        await at.do(c.FinishStart(2, f"{at.sid}-2", "cold", None, False))

    at.provider.before["create"] = somebody_else_takes_over
    await start_box(at.shop, at.sid)
    assert (await at.session()).box == f"{at.sid}-2"
    assert [box.name for box in await at.shop.provider.list()] == [f"{at.sid}-2"]


async def test_a_box_that_cannot_be_made_now_is_tried_again_later(at: Bench) -> None:
    await at.ask()
    at.fails("create", Temporary("the machine is too busy", 5.0))
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.failures) == (S.WAITING, 1)
    (failed,) = [event for event in await at.events() if isinstance(event, StartFailed)]
    assert failed.reason == "the machine is too busy"
    assert 4.9 < failed.retry_at - failed.at <= 5.1
    at.fails("create", None)
    await start_box(at.shop, at.sid)
    assert (await at.session()).box == f"{at.sid}-2"


async def test_a_box_that_was_made_unheard_is_ended_before_another_one_is_made(at: Bench) -> None:
    await at.ask()
    at.loses_the_reply("create")
    await start_box(at.shop, at.sid)
    assert (await at.session()).status is S.WAITING and await at.shop.provider.list() == []


async def test_a_box_that_can_never_be_made_is_given_up_at_once_with_the_reason(at: Bench) -> None:
    await at.ask()
    at.fails("create", Permanent("bubblewrap is missing: install the package bubblewrap"))
    await start_box(at.shop, at.sid)
    assert (await at.session()).status is S.FAILED
    reasons = [event.reason for event in await at.events() if isinstance(event, StartAbandoned | PromptWithdrawn)]
    assert reasons == ["bubblewrap is missing: install the package bubblewrap"] * 2


async def test_an_agent_that_is_not_known_is_said_with_those_that_are(at: Bench) -> None:
    await at.ask(agent="nobody")
    await start_box(at.shop, at.sid)
    (abandoned,) = [event for event in await at.events() if isinstance(event, StartAbandoned)]
    assert "nobody" in abandoned.reason
    assert "rehearsal" in abandoned.reason


async def test_a_fault_of_our_own_is_on_record_and_is_raised(at: Bench) -> None:
    await at.ask()
    at.fails("create", RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        await start_box(at.shop, at.sid)
    (failed,) = [event for event in await at.events() if isinstance(event, StartFailed)]
    assert failed.reason == "something unexpected (RuntimeError)"


async def test_an_image_that_is_broken_does_not_keep_a_session_from_starting(at: Bench) -> None:
    await at.shop.store.images.add(Image(repository=ROCKET, snapshot="0" * 16, built_at=1.0, bytes=1))
    await at.ask()
    await start_box(at.shop, at.sid)
    assert (await at.session()).start == "cold"
    assert await at.shop.store.images.newest(ROCKET) is None
    assert await at.shop.store.images.asked(ROCKET) is not None, "another one is built"


async def test_parked_and_woken_a_box_has_what_it_had(at: Bench) -> None:
    box = await started(at)
    await write(at, box, "one")
    await park_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.box) == (S.WAITING, None), "its prompt waits for the next box"
    assert await at.state(box) is BoxState.GONE
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.start, session.box) == ("snapshot", f"{at.sid}-2")
    assert await read(at, f"{at.sid}-2") == "one\n"


async def test_each_sleep_names_the_newest_snapshot_and_only_that(at: Bench) -> None:
    for generation, words in ((1, "one"), (2, "two")):
        await at.ask()
        await start_box(at.shop, at.sid)
        await at.do(c.Attach(generation, 1))
        await write(at, f"{at.sid}-{generation}", words)
        await park_box(at.shop, at.sid)
    await start_box(at.shop, at.sid)
    assert await read(at, f"{at.sid}-3") == "one\ntwo\n"
    first, second = [event.base for event in await at.events() if isinstance(event, BoxStarted) and event.base]
    await at.do(c.Attach(3, 1))
    await park_box(at.shop, at.sid)
    unnamed = await at.shop.store.leftovers.unnamed(at.clock() + 1)
    assert unnamed == [Unnamed(at.sid, str(first)), Unnamed(at.sid, str(second))]
    assert (await at.session()).snapshot not in (None, first, second)


@pytest.mark.parametrize("image", [False, True])
async def test_where_what_a_box_left_is_gone_its_session_begins_from_the_branch_and_says_so(
    at: Bench, image: bool
) -> None:
    await started(at)
    await park_box(at.shop, at.sid)
    snapshot = (await at.session()).snapshot
    assert snapshot is not None
    if image:
        other = "other-1"
        await at.shop.provider.create(BoxSpec(name=other, greeting=b"{}\n"))
        await at.shop.provider.terminate(other)
        left = await at.shop.provider.last_state(other)
        assert left is not None
        await at.shop.store.images.add(Image(repository=ROCKET, snapshot=left.id, built_at=1.0, bytes=1))
    await at.shop.provider.forget_snapshot(snapshot)  # as after a restore on another machine
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.start) == (S.CONNECTING, "image" if image else "cold")
    (note,) = [event.text for event in await at.events() if isinstance(event, Noted)]
    assert "I begin from the branch" in note


async def test_a_token_ends_with_its_box(at: Bench) -> None:
    box = await started(at)
    await at.shop.store.grant(hash_token("t"), Grant(at.sid, box, 1, ROCKET, "serve", "b"))
    assert await at.shop.store.granted(hash_token("t")) is not None
    await park_box(at.shop, at.sid)
    assert await at.shop.store.granted(hash_token("t")) is None


async def test_what_a_box_left_when_it_died_is_brought_back(at: Bench) -> None:
    box = await started(at)
    await write(at, box, "one")
    await at.shop.provider.terminate(box)
    await at.do(c.LoseBox(1, "its processes ended"))
    await start_box(at.shop, at.sid)
    assert (await at.session()).start == "snapshot"
    assert await read(at, f"{at.sid}-2") == "one\n"


@pytest.mark.parametrize("trouble", [Temporary("busy", 5.0), Unreachable("it does not end"), RuntimeError("a bug")])
async def test_a_box_that_cannot_be_put_to_sleep_now_is_tried_again(at: Bench, trouble: Exception) -> None:
    box = await started(at)
    await write(at, box, "one")
    at.fails("terminate", trouble)
    if isinstance(trouble, RuntimeError):
        with pytest.raises(RuntimeError):
            await park_box(at.shop, at.sid)
    else:
        await park_box(at.shop, at.sid)
    assert (await at.session()).status is S.PARKING
    (failed,) = [event for event in await at.events() if isinstance(event, ParkFailed)]
    assert failed.retry_at > failed.at
    at.fails("terminate", None)
    await park_box(at.shop, at.sid)
    assert (await at.session()).snapshot is not None


async def test_a_box_that_ends_just_before_it_is_put_to_sleep_loses_nothing(at: Bench) -> None:
    box = await started(at)
    await write(at, box, "one")
    await at.shop.provider.terminate(box, 0.0)
    at.fails("terminate", Gone("that box has ended"))
    await park_box(at.shop, at.sid)
    at.fails("terminate", None)
    await start_box(at.shop, at.sid)
    assert await read(at, f"{at.sid}-2") == "one\n"


async def test_a_place_that_is_away_for_long_is_asked_less_and_less_often_and_people_are_told_once(at: Bench) -> None:
    await started(at)
    at.fails("terminate", Unreachable("it does not answer"))
    for _ in range(8):
        await park_box(at.shop, at.sid)
    events = await at.events()
    delays = [round(event.retry_at - event.at) for event in events if isinstance(event, ParkFailed)]
    assert delays == [2, 4, 8, 16, 32, 60, 60, 60]
    assert len([event for event in events if isinstance(event, Noted)]) == 1


async def test_a_worker_that_died_while_parking_is_followed_by_another(at: Bench) -> None:
    box = await started(at)
    await write(at, box, "one")
    await at.do(c.BeginPark(1))
    await at.shop.provider.terminate(box)
    await at.shop.provider.last_state(box)
    await park_box(at.shop, at.sid)
    await start_box(at.shop, at.sid)
    assert await read(at, f"{at.sid}-2") == "one\n"


@pytest.mark.parametrize(
    ("step", "trouble"),
    [("terminate", Permanent("the place refuses that")), ("last_state", Barred("the token is not accepted"))],
)
async def test_what_a_person_has_to_mend_at_a_place_costs_nothing_that_its_boxes_have(
    at: Bench, step: str, trouble: Permanent
) -> None:
    box = await started(at)
    await write(at, box, "one")
    at.fails(step, trouble)
    await park_box(at.shop, at.sid)
    assert (await at.session()).status is S.PARKING
    at.fails(step, None)
    await park_box(at.shop, at.sid)
    await start_box(at.shop, at.sid)
    assert await read(at, f"{at.sid}-2") == "one\n"


async def test_a_box_that_can_never_be_put_to_sleep_is_left_behind_and_people_are_told(at: Bench) -> None:
    await started(at)
    at.fails("last_state", Permanent("the disk is broken"))
    await park_box(at.shop, at.sid)
    assert (await at.session()).status is S.WAITING
    (note,) = [event for event in await at.events() if isinstance(event, Noted)]
    assert "the disk is broken" in note.text


async def test_a_box_that_was_given_work_before_its_worker_came_is_left_at_it(at: Bench) -> None:
    await at.ask()
    await start_box(at.shop, at.sid)
    for command in (c.Attach(1, 1), given_a.hear(given_a.READY)):
        await at.do(command)
    await park_if_due(at.shop, at.sid)
    assert (await at.session()).status is S.WORKING
    with pytest.raises(c.Refused, match="turn 1 has begun meanwhile"):
        await at.do(c.BeginPark(1, 0))
    await at.do(given_a.hear(given_a.ENDED))
    await park_if_due(at.shop, at.sid)
    assert (await at.session()).status is S.IDLE, "the whole turn was between its job and its worker"
    await at.ask()
    at.clock.ahead = at.shop.settings.rules.box_seconds
    await park_if_due(at.shop, at.sid)
    assert (await at.session()).status is S.WAITING, "it was so old that it had to go"


async def test_only_a_box_that_is_there_is_put_to_sleep(at: Bench) -> None:
    await park_box(at.shop, "snobody")
    await at.ask()
    await park_box(at.shop, at.sid)
    assert (await at.session()).status is S.WAITING
