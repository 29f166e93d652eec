"""The whole stand-in, joined: the two services on one port, the admin's page on another."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from aiohttp import web
from grpclib.server import Server
from modal._utils.grpc_utils import custom_detail_codec
from modal_proto import api_grpc, task_command_router_grpc

from tests.modal_cloud.admin import Admin
from tests.modal_cloud.boxes import Box, Boxes
from tests.modal_cloud.clock import Clock, Deadlines
from tests.modal_cloud.control_plane import ControlPlane
from tests.modal_cloud.dispatch import Dispatch
from tests.modal_cloud.faults import Faults
from tests.modal_cloud.images import Images
from tests.modal_cloud.layers import remove
from tests.modal_cloud.machine import Machine
from tests.modal_cloud.paper import Paper
from tests.modal_cloud.router import Router
from tests.modal_cloud.trace import Trace
from tests.modal_cloud.uploads import Uploads

HOST = "127.0.0.1"
MOST_BYTES = 1 << 30


class Cloud:
    """Everything behind one address. `mode`: "boxes" has real processes, "paper" has none."""

    def __init__(self, state: Path, mode: str) -> None:
        self.clock, self.trace = Clock(), Trace()
        self.faults, self.deadlines = Faults(self.clock), Deadlines(self.clock)
        self.place: Any = Machine(state) if mode == "boxes" else Paper()
        remove(state / "uploads")
        self.uploads = Uploads(state / "uploads", self.place.layers)
        self.images = Images(self.clock)
        self.boxes = Boxes(self.clock, self.deadlines, self.faults, self.images, self.place, self.uploads.layer_of)
        self.plane = ControlPlane(self.clock, self.faults, self.images, self.boxes, self.uploads)
        self.router = Router(self.clock, self.faults, self.boxes, self.plane)

    async def serve(self, port: int, admin_port: int, tell: Any) -> None:
        """Serve until cancelled; `tell` is given both addresses."""
        dispatch = Dispatch(self.clock, self.faults, self.trace, self._whose)
        services = [
            dispatch.service(api_grpc.ModalClientBase, self.plane),
            dispatch.service(task_command_router_grpc.TaskCommandRouterBase, self.router),
        ]
        server = Server(services, status_details_codec=custom_detail_codec)
        runner = web.AppRunner(Admin(self).app(MOST_BYTES), access_log=None)
        await runner.setup()
        due = asyncio.ensure_future(self.deadlines.run())
        try:
            await server.start(HOST, port, backlog=4096)
            listening = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            site = web.TCPSite(runner, HOST, admin_port)
            await site.start()
            self.plane.url = f"http://{HOST}:{listening}"
            self.uploads.url = f"http://{HOST}:{runner.addresses[0][1]}"
            tell({"url": self.plane.url, "admin": self.uploads.url, "several_users": self.place.several_users})
            await asyncio.Event().wait()
        finally:
            self.place.close()
            due.cancel()
            server.close()
            with contextlib.suppress(asyncio.CancelledError):
                await runner.cleanup()

    async def reset(self) -> None:
        """End all boxes; forget all but apps, built images and uploads."""
        self.faults.clear(None)
        await self.boxes.reset()
        self.trace.reset()
        self.clock.reset()
        self.place.reset(self.images.reset() | self.uploads.layers())

    def _whose(self, request: Any) -> str | None:
        """The name of the box that a request is about."""
        fields = request.DESCRIPTOR.fields_by_name
        if "definition" in fields:
            return str(request.definition.name) or None
        if "sandbox_name" in fields:
            return str(request.sandbox_name)
        box: Box | None = None
        if "task_id" in fields:
            box = self.boxes.of_task(request.task_id)
        if box is None and "sandbox_id" in fields:
            box = self.boxes.find(request.sandbox_id)
        return None if box is None else box.name
