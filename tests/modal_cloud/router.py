"""The calls of the service `TaskCommandRouter`: commands in a box, their streams, its snapshots."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from modal_proto import task_command_router_pb2 as sr

from tests.modal_cloud.boxes import Box, Boxes
from tests.modal_cloud.clock import Clock
from tests.modal_cloud.commands import Command
from tests.modal_cloud.control_plane import ControlPlane
from tests.modal_cloud.dispatch import Refused
from tests.modal_cloud.faults import Faults

KILL = 9


class Router:
    """One router for all boxes; a real one stands beside each. Every call has to carry a bearer token."""

    def __init__(self, clock: Clock, faults: Faults, boxes: Boxes, plane: ControlPlane) -> None:
        self._clock, self._faults, self._boxes, self._plane = clock, faults, boxes, plane
        self._going: set[asyncio.Task[Any]] = set()

    async def TaskExecStart(self, request: Any, metadata: Any) -> Any:
        box = self._alive(request.task_id, metadata)
        if request.exec_id not in box.commands:
            env = self._boxes.env(box, self._plane.env_of(request.secret_sources) | dict(request.env))
            cwd = request.workdir or self._boxes.cwd(box)
            command = self._boxes.place.run(box.id, request.exec_id, list(request.command_args), env, cwd)
            box.commands[request.exec_id] = command
            if request.HasField("timeout_secs"):
                end = self._clock.now() + request.timeout_secs
                self._go(self._limit(box, request.exec_id, command, end))
        return sr.TaskExecStartResponse()

    async def TaskExecStdioRead(self, request: Any, metadata: Any) -> AsyncIterator[Any]:
        command = self._command(request, metadata)
        wants_errors = request.file_descriptor == sr.TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDERR
        async for _, piece in (command.stderr if wants_errors else command.stdout).read(request.offset):
            yield sr.TaskExecStdioReadResponse(data=piece)

    async def TaskExecStdinWrite(self, request: Any, metadata: Any) -> Any:
        command = self._command(request, metadata)
        if not await command.stdin.write(request.offset, request.data, request.eof):
            raise Refused("INVALID_ARGUMENT", f"stdin has {command.stdin.taken} bytes, not {request.offset}")
        return sr.TaskExecStdinWriteResponse()

    async def TaskExecStdinStatus(self, request: Any, metadata: Any) -> Any:
        stdin = self._command(request, metadata).stdin
        return sr.TaskExecStdinStatusResponse(num_bytes_written=stdin.taken, closed=stdin.closed)

    async def TaskExecStdinWriteStream(self, stream: Any, metadata: Any) -> Any:
        first = await stream.recv_message()
        command, offset = self._command(first.start, metadata), first.start.offset
        while (message := await stream.recv_message()) is not None:
            end = message.WhichOneof("payload") == "end" if message.WhichOneof("payload") else False
            if not await command.stdin.write(offset, message.data, end):
                raise Refused("INVALID_ARGUMENT", f"stdin has {command.stdin.taken} bytes, not {offset}")
            offset += len(message.data)
        return sr.TaskExecStdinWriteStreamResponse()

    async def TaskExecWait(self, request: Any, metadata: Any) -> Any:
        command = self._command(request, metadata)
        await command.ended.wait()
        return _how(sr.TaskExecWaitResponse(), command)

    async def TaskExecPoll(self, request: Any, metadata: Any) -> Any:
        command = self._command(request, metadata)
        return _how(sr.TaskExecPollResponse(), command) if command.ended.is_set() else sr.TaskExecPollResponse()

    async def SandboxStdioReadV2(self, request: Any, metadata: Any) -> AsyncIterator[Any]:
        entry = self._entry(request.task_id, metadata)
        wants_errors = request.file_descriptor == sr.SANDBOX_STDIO_FILE_DESCRIPTOR_STDERR
        async for offset, piece in (entry.stderr if wants_errors else entry.stdout).read(request.offset):
            yield sr.SandboxStdioReadV2Response(data=piece, starting_offset=offset)

    async def SandboxStdinWriteV2(self, request: Any, metadata: Any) -> Any:
        box = self._alive(request.task_id, metadata)
        stdin = self._entry(box.task, metadata).stdin
        if not await stdin.write(request.offset, request.data, request.eof):
            raise Refused("INVALID_ARGUMENT", f"stdin has {stdin.taken} bytes, not {request.offset}")
        return sr.SandboxStdinWriteV2Response()

    async def SandboxWaitUntilReady(self, request: Any, metadata: Any) -> Any:
        box = self._alive(request.task_id, metadata)
        if not box.asked.HasField("readiness_probe"):
            raise Refused("FAILED_PRECONDITION", "this Sandbox has no readiness probe")
        end = self._clock.now() + request.timeout
        while not await self._ready(box):
            if self._clock.now() > end:
                raise Refused("DEADLINE_EXCEEDED", "the Sandbox did not become ready")
            await self._clock.sleep(max(box.asked.readiness_probe.interval_ms, 10) / 1000)
        return sr.SandboxWaitUntilReadyTcrResponse(ready_at=self._clock.now())

    async def TaskSnapshotFilesystem(self, request: Any, metadata: Any) -> Any:
        box = self._alive(request.task_id, metadata)
        if not box.commands and self._faults.hit({"early"}, "TaskSnapshotFilesystem", box.name):
            raise Refused("FAILED_PRECONDITION", "the Sandbox is not ready for a snapshot")
        image = await self._boxes.snapshot(box, request.snapshot_id, request.ttl_seconds)
        return sr.TaskSnapshotFilesystemResponse(image_id=image.id)

    async def TaskSetNetworkAccess(self, request: Any, metadata: Any) -> Any:
        self._alive(request.task_id, metadata).asked.network_access.CopyFrom(request.network_access)
        return sr.TaskSetNetworkAccessResponse()

    async def _ready(self, box: Box) -> bool:
        probe = box.asked.readiness_probe
        if probe.tcp_port:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", probe.tcp_port)
            except OSError:
                return False
            writer.close()
            return True
        argv, env, cwd = list(probe.exec_command.argv), self._boxes.env(box), self._boxes.cwd(box)
        command = self._boxes.place.run(box.id, f"probe-{uuid.uuid4()}", argv, env, cwd)
        await command.ended.wait()
        return command.code == 0 and not command.signal

    async def _limit(self, box: Box, name: str, command: Command, moment: float) -> None:
        waiting = asyncio.ensure_future(command.ended.wait())
        end = asyncio.ensure_future(self._clock.until(moment))
        await asyncio.wait((waiting, end), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        end.cancel()
        if not command.ended.is_set():
            self._boxes.place.signal(box.id, name, KILL)

    def _box(self, task: str, metadata: Any) -> Box:
        if not str(metadata.get("authorization", "")).startswith("Bearer "):
            raise Refused("UNAUTHENTICATED", "the call has no token")
        if (box := self._boxes.of_task(task)) is None:
            raise Refused("NOT_FOUND", f"Task {task} not found")
        if box.result is not None and self._faults.hit({"forgotten"}, "*", box.name):
            raise Refused("NOT_FOUND", f"Task {task} not found")
        self._boxes.touch(box)
        return box

    def _alive(self, task: str, metadata: Any) -> Box:
        box = self._box(task, metadata)
        if box.result is not None:
            raise Refused("NOT_FOUND", f"Task {task} has already finished")
        return box

    def _command(self, request: Any, metadata: Any) -> Command:
        box = self._box(request.task_id, metadata)
        if (command := box.commands.get(request.exec_id)) is None:
            raise Refused("NOT_FOUND", f"Exec {request.exec_id} not found")
        return command

    def _entry(self, task: str, metadata: Any) -> Command:
        entry = self._box(task, metadata).entry
        if entry is None:
            raise Refused("FAILED_PRECONDITION", "the Sandbox has not started")
        return entry

    def _go(self, doing: Any) -> None:
        task = asyncio.ensure_future(doing)
        self._going.add(task)
        task.add_done_callback(self._going.discard)


def _how(answer: Any, command: Command) -> Any:
    if command.signal:
        answer.signal = command.signal
    else:
        answer.code = command.code
    return answer
