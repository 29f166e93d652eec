"""From a service's plain functions to gRPC: every call is traced, meets its faults, and is done once for each key.

A function takes (request, metadata) and returns the answer, or yields answers where the call is a stream of them.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpclib
from grpclib.const import Cardinality, Handler, Status
from h2.settings import SettingCodes
from modal_proto import api_pb2

from tests.modal_cloud.clock import Clock
from tests.modal_cloud.faults import Fault, Faults
from tests.modal_cloud.trace import Call, Trace
from tests.waiting import until

BEFORE = {"refused", "error", "hang", "throttled", "quota"}
AFTER = {"lost_reply", "late"}
WAITS = {
    "SandboxGetExitSnapshotV2", "SandboxStdinWriteV2", "SandboxWaitUntilReady", "SandboxWaitV2", "TaskExecStdinWrite",
    "TaskExecWait",
}  # fmt: skip
KEYED = {"AppGetOrCreate", "ImageGetOrCreate", "MountGetOrCreate", "SandboxCreateV2", "SecretGetOrCreate"}
Whose = Callable[[Any], str | None]


class Refused(grpclib.GRPCError):
    """The call is answered with an error."""

    def __init__(self, status: str, message: str, *details: Any) -> None:
        super().__init__(Status[status], message, list(details) or None)


class Reset(Exception):
    """The stream ends without an answer."""


class Dispatch:
    """All calls go through here. `whose`: the name of the box that a request is about, if it is about one."""

    def __init__(self, clock: Clock, faults: Faults, trace: Trace, whose: Whose) -> None:
        self._clock, self._faults, self._trace, self._whose = clock, faults, trace, whose
        self._done: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._going: set[asyncio.Task[Any]] = set()
        self._marks = itertools.count(1 << 20)

    def service(self, base: type, functions: object) -> Any:
        """A service for grpclib: calls without a function are UNIMPLEMENTED, and traced all the same."""
        named = {name: getattr(functions, name, None) for name in base.__abstractmethods__}  # type: ignore[attr-defined]
        filled = type(base.__name__, (base,), dict.fromkeys(named, _never))()
        mapping = {
            path: self._wrapped(path.rsplit("/", 1)[1], given, named) for path, given in filled.__mapping__().items()
        }
        return _Mapping(mapping)

    def _wrapped(self, rpc: str, given: Handler, named: dict[str, Any]) -> Handler:
        function = named[rpc]

        async def answer(stream: Any) -> None:
            call = self._trace.begin(rpc, self._clock.now(), stream.metadata.get("x-idempotency-key", ""))
            began = time.monotonic()
            try:
                if function is None:
                    raise Refused("UNIMPLEMENTED", f"the stand-in has no {rpc}")
                await self._answer(rpc, given.cardinality, function, stream, call)
                call.status = "OK"
            except grpclib.GRPCError as refused:
                call.status = refused.status.name
                raise
            except Reset:
                call.status = "RESET"
                await stream.cancel()
            except BaseException as failed:
                call.status = call.status or type(failed).__name__
                raise
            finally:
                self._trace.end(call, time.monotonic() - began)

        return Handler(answer, given.cardinality, given.request_type, given.reply_type)

    async def _answer(self, rpc: str, cardinality: Cardinality, function: Any, stream: Any, call: Call) -> None:
        if cardinality.client_streaming:
            await self._before(rpc, None, call)
            await stream.send_message(await function(stream, stream.metadata))
            return
        request = await stream.recv_message()
        self._trace.note(call, request)
        box = self._whose(request)
        await self._before(rpc, box, call)
        if cardinality.server_streaming:
            cut = self._faults.hit({"cut"}, rpc, box)
            await self._stream(function(request, stream.metadata), stream, cut, call)
            return
        slow = self._faults.hit({"slow"}, rpc, box)
        if slow is not None:
            call.fault = "slow"
        do = partial(self._slowly, slow, function, request, stream.metadata)
        reply = await (do() if rpc in WAITS else self._once(rpc, call.key, do))
        await self._after(rpc, box, call)
        await stream.send_message(reply)

    async def _slowly(self, slow: Fault | None, function: Any, request: Any, metadata: Any) -> Any:
        if slow is not None:
            await self._clock.sleep(slow.more.get("by", 1.0))
        return await function(request, metadata)

    async def _once(self, rpc: str, key: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """What is begun is finished, whether or not somebody still waits for the answer."""
        name = (rpc, key)
        if rpc in KEYED and key and name in self._done:
            return await asyncio.shield(self._done[name])
        task: asyncio.Task[Any] = asyncio.ensure_future(do())
        self._going.add(task)
        task.add_done_callback(self._finished)
        if rpc in KEYED and key:
            self._done[name] = task
            task.add_done_callback(lambda task: self._done.pop(name, None) if task.exception() else None)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._going.discard(task)
        if not task.cancelled():
            task.exception()

    async def _before(self, rpc: str, box: str | None, call: Call) -> None:
        if (fault := self._faults.hit(BEFORE, rpc, box)) is not None:
            call.fault = fault.kind
            await self._meet(fault)

    async def _meet(self, fault: Fault) -> None:
        more = fault.more
        if fault.kind == "refused":
            raise Reset
        if fault.kind == "error":
            raise Refused(more.get("status", "UNAVAILABLE"), more.get("message", "the stand-in was told to fail"))
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind == "throttled":
            policy = api_pb2.RPCRetryPolicy(retry_after_secs=more.get("after", 0.1))
            raise Refused("RESOURCE_EXHAUSTED", "too many requests", policy)
        raise Refused("RESOURCE_EXHAUSTED", more.get("message", "the workspace has reached its limit of containers"))

    async def _after(self, rpc: str, box: str | None, call: Call) -> None:
        fault = self._faults.hit(AFTER, rpc, box)
        if fault is None:
            return
        call.fault = fault.kind
        if fault.kind == "lost_reply":
            raise Reset
        await self._clock.sleep(fault.more.get("by", 1.0))

    async def _stream(self, answers: Any, stream: Any, cut: Fault | None, call: Call) -> None:
        left = None if cut is None else int(cut.more.get("bytes", 0))
        try:
            async for answer in answers:
                if left is not None:
                    call.fault, data = "cut", answer.data[:left]
                    left -= len(data)
                    if data:
                        answer.data = data
                        await stream.send_message(answer)
                    if left <= 0:
                        await self._arrived(stream)
                        raise Reset
                else:
                    await stream.send_message(answer)
        finally:
            await answers.aclose()

    async def _arrived(self, stream: Any) -> None:
        """Until the client has all that was sent: what it gets together with a reset is lost to it. It acknowledges
        what the server changes in its settings, in turn; this one means nothing here."""
        connection, mark = stream._stream.connection, next(self._marks)
        settings = stream._stream._h2_connection.local_settings
        stream._stream._h2_connection.update_settings({SettingCodes.MAX_HEADER_LIST_SIZE: mark})
        connection.flush()
        await until(lambda: connection.is_closing() or settings.max_header_list_size >= mark)


class _Mapping:
    """What grpclib wants of a service."""

    def __init__(self, mapping: dict[str, Handler]) -> None:
        self._mapping = mapping

    def __mapping__(self) -> dict[str, Handler]:
        return self._mapping


async def _never(self: object, stream: Any) -> None:
    """In the place of every call of a service; none is reached without `Dispatch`."""
