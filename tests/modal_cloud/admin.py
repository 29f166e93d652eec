"""What a test may do to the cloud, over plain HTTP with JSON: look, break, kill, collect, let time pass."""

from typing import TYPE_CHECKING, Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from modal_proto import api_pb2

from tests.modal_cloud.boxes import Box
from tests.modal_cloud.dispatch import Refused

if TYPE_CHECKING:
    from tests.modal_cloud.cloud import Cloud

Result = api_pb2.GenericResult
OOM_CODE = 137


class Admin:
    """The page's answers. A mistake in a request is answered with 400 and a sentence."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud

    def app(self, most_bytes: int) -> web.Application:
        """The application to serve."""
        app = web.Application(client_max_size=most_bytes)
        app.add_routes(
            [
                web.put("/blobs/{id}", self._blob),
                web.get("/calls", self._calls),
                web.get("/counts", self._counts),
                web.get("/faults", self._faults),
                web.post("/faults", self._fault),
                web.delete("/faults", self._clear),
                web.get("/boxes", self._boxes),
                web.get("/stats", self._stats),
                web.post("/kill", self._kill),
                web.post("/limit", self._limit),
                web.get("/images", self._images),
                web.post("/collect", self._collect),
                web.post("/clock", self._clock),
                web.post("/scripts", self._script),
                web.post("/reset", self._reset),
            ]
        )
        return app

    async def _blob(self, request: web.Request) -> web.Response:
        digest = self._cloud.uploads.put_blob(request.match_info["id"], await request.read())
        return web.Response(headers={"ETag": f'"{digest}"'})

    async def _calls(self, request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        return web.json_response(self._cloud.trace.told(request.query.get("rpc"), since))

    async def _counts(self, request: web.Request) -> web.Response:
        return web.json_response(self._cloud.trace.counts)

    async def _faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._cloud.faults.told())

    async def _fault(self, request: web.Request) -> web.Response:
        said = await request.json()
        wish = (said["kind"], said.get("rpc", "*"), said.get("box"), said.get("times"), said.get("seconds"))
        try:
            return web.json_response(self._cloud.faults.order(*wish, said.get("more", {})))
        except ValueError as wrong:
            return web.json_response(str(wrong), status=400)

    async def _clear(self, request: web.Request) -> web.Response:
        number = request.query.get("number")
        self._cloud.faults.clear(None if number is None else int(number))
        return web.json_response(None)

    async def _boxes(self, request: web.Request) -> web.Response:
        alive_only = request.query.get("alive") == "1"
        after = request.query.get("after")
        boxes = self._cloud.boxes.all() if after is None else self._cloud.boxes.after(int(after))
        return web.json_response([told(box) for box in boxes if box.result is None or not alive_only])

    async def _stats(self, request: web.Request) -> web.Response:
        boxes = self._cloud.boxes
        facts = {"alive": boxes.alive(), "made": len(boxes.after(0)), "at_once": self._cloud.trace.at_once}
        return web.json_response(facts)

    async def _kill(self, request: web.Request) -> web.Response:
        """As the kernel does when memory is out, unless `status` and `code` say otherwise."""
        said = await request.json()
        status = Result.GenericStatus.Value(f"GENERIC_STATUS_{said.get('status', 'FAILURE')}")
        killed = 0
        for box in self._cloud.boxes.all():
            if said["box"] in (box.id, box.name) and box.result is None:
                self._cloud.boxes.kill(box, Result(status=status, exitcode=said.get("code", OOM_CODE)))
                killed += 1
        return web.json_response(killed)

    async def _limit(self, request: web.Request) -> web.Response:
        self._cloud.boxes.most = (await request.json())["most"]
        return web.json_response(None)

    async def _images(self, request: web.Request) -> web.Response:
        return web.json_response([{**vars(image), "layers": list(image.layers)} for image in self._cloud.images.all()])

    async def _collect(self, request: web.Request) -> web.Response:
        image = (await request.json())["image"]
        try:
            self._cloud.images.get(image)
        except Refused as unknown:
            return web.json_response(str(unknown), status=400)
        self._cloud.images.collect(image)
        return web.json_response(None)

    async def _clock(self, request: web.Request) -> web.Response:
        self._cloud.clock.step(float((await request.json())["seconds"]))
        return web.json_response(self._cloud.clock.now())

    async def _script(self, request: web.Request) -> web.Response:
        if self._cloud.place.layers is not None:
            return web.json_response("scripts are for boxes on paper: start it with --mode paper", status=400)
        self._cloud.place.script(await request.json())
        return web.json_response(None)

    async def _reset(self, request: web.Request) -> web.Response:
        await self._cloud.reset()
        return web.json_response(None)


def told(box: Box) -> dict[str, Any]:
    """A box as JSON has it."""
    return {
        "id": box.id,
        "task": box.task,
        "name": box.name,
        "created": box.created,
        "image": box.image.id,
        "tags": box.tags,
        "env": box.env,
        "heard": "" if box.entry is None else box.entry.stdin.heard.decode(errors="replace"),
        "asked": MessageToDict(box.asked, preserving_proto_field_name=True),
        "result": None if box.result is None else MessageToDict(box.result, preserving_proto_field_name=True),
        "running": sum(1 for command in box.commands.values() if not command.ended.is_set()),
    }
