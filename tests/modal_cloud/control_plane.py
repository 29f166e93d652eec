"""The calls of the service `ModalClient` that a client of sandboxes makes. `dispatch.py` calls them."""

import asyncio
import math
import time
from typing import Any

from google.protobuf.empty_pb2 import Empty
from modal._utils.jwt_utils import DecodedJwt
from modal_proto import api_pb2

from tests.modal_cloud.boxes import Box, Boxes
from tests.modal_cloud.clock import Clock
from tests.modal_cloud.dispatch import Refused
from tests.modal_cloud.faults import Faults
from tests.modal_cloud.ids import ulid
from tests.modal_cloud.images import VERSION, Images
from tests.modal_cloud.uploads import Uploads

TOKEN_SECONDS = 1200
PAGE = 50
Outcome = api_pb2.SandboxGetExitSnapshotResponse
LOST = {"lost": Outcome.ERROR_CODE_FILESYSTEM_INCONSISTENT, "internal": Outcome.ERROR_CODE_INTERNAL}


class ControlPlane:
    """Apps, images, sandboxes. `url`: where the command router answers; set when the server listens."""

    def __init__(self, clock: Clock, faults: Faults, images: Images, boxes: Boxes, uploads: Uploads) -> None:
        self._clock, self._faults = clock, faults
        self._images, self._boxes, self._uploads = images, boxes, uploads
        self._apps: dict[str, str] = {}
        self._secrets: dict[str, dict[str, str]] = {}
        self._secret_names: dict[str, str] = {}
        self.url = ""

    async def AuthTokenGet(self, request: Any, metadata: Any) -> Any:
        return api_pb2.AuthTokenGetResponse(token=_token())

    async def ClientHello(self, request: Any, metadata: Any) -> Any:
        return api_pb2.ClientHelloResponse()

    async def EnvironmentGetOrCreate(self, request: Any, metadata: Any) -> Any:
        settings = api_pb2.EnvironmentSettings(image_builder_version=VERSION)
        named = api_pb2.EnvironmentMetadata(name=request.deployment_name or "main", settings=settings)
        return api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-main", metadata=named)

    async def AppGetOrCreate(self, request: Any, metadata: Any) -> Any:
        name = request.app_name
        if name not in self._apps:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise Refused("NOT_FOUND", f"App {name!r} not found")
            self._apps[name] = f"ap-{ulid(self._clock.now())}"
        return api_pb2.AppGetOrCreateResponse(app_id=self._apps[name])

    async def SecretGetOrCreate(self, request: Any, metadata: Any) -> Any:
        name = request.deployment_name
        if name and name in self._secret_names and not request.env_dict:
            return api_pb2.SecretGetOrCreateResponse(secret_id=self._secret_names[name])
        if name and not request.env_dict:
            raise Refused("NOT_FOUND", f"Secret {name!r} not found")
        id = f"st-{ulid(self._clock.now())}"
        self._secrets[id] = dict(request.env_dict)
        if name:
            self._secret_names[name] = id
        return api_pb2.SecretGetOrCreateResponse(secret_id=id)

    async def ImageGetOrCreate(self, request: Any, metadata: Any) -> Any:
        if (fault := self._faults.hit({"build"}, "ImageGetOrCreate", None)) is not None:
            said = fault.more.get("message", "a command of the recipe failed")
            return api_pb2.ImageGetOrCreateResponse(image_id=f"im-{ulid(self._clock.now())}", result=_failed(said))
        image = self._images.of_recipe(
            request.image, request.force_build or request.ignore_cache, self._uploads.copy_in
        )
        done = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)
        about = api_pb2.ImageMetadata(image_builder_version=VERSION, workdir=image.workdir)
        return api_pb2.ImageGetOrCreateResponse(image_id=image.id, result=done, metadata=about)

    async def ImageFromId(self, request: Any, metadata: Any) -> Any:
        image = self._images.get(request.image_id)
        about = api_pb2.ImageMetadata(image_builder_version=VERSION, workdir=image.workdir)
        return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=about)

    async def ImageDelete(self, request: Any, metadata: Any) -> Any:
        self._images.get(request.image_id)
        self._images.collect(request.image_id)
        return Empty()

    async def MountGetOrCreate(self, request: Any, metadata: Any) -> Any:
        mount = self._uploads.mount(request.files)
        about = api_pb2.MountHandleMetadata(content_checksum_sha256_hex=mount.removeprefix("mo-"))
        return api_pb2.MountGetOrCreateResponse(mount_id=mount, handle_metadata=about)

    async def MountPutFile(self, request: Any, metadata: Any) -> Any:
        if request.data_blob_id:
            self._uploads.name_blob(request.data_blob_id, request.sha256_hex)
        elif request.WhichOneof("data_oneof"):
            self._uploads.put(request.sha256_hex, request.data)
        return api_pb2.MountPutFileResponse(exists=self._uploads.has(request.sha256_hex))

    async def MountBatchedCheckExistence(self, request: Any, metadata: Any) -> Any:
        missing = [name for name in request.sha256_hex_hashes if not self._uploads.has(name)]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def BlobCreate(self, request: Any, metadata: Any) -> Any:
        id = f"bl-{ulid(self._clock.now())}"
        urls = api_pb2.UploadUrlList(items=[f"{self._uploads.url}/blobs/{id}"])
        return api_pb2.BlobCreateResponse(blob_ids=[id], upload_urls=urls)

    async def SandboxCreateV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        if request.app_id not in self._apps.values():
            raise Refused("NOT_FOUND", f"App {request.app_id} not found")
        env = self.env_of(request.secret_sources)
        tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        box = await self._boxes.create(request.app_id, request.definition, tags, env)
        access = api_pb2.CommandRouterAccess(url=self.url, jwt=_token())
        about = api_pb2.SandboxHandleMetadata(app_id=box.app)
        return api_pb2.SandboxCreateV2Response(
            sandbox_id=box.id, task_id=box.task, metadata=about, command_router_access=access
        )

    def env_of(self, sources: Any) -> dict[str, str]:
        """The environment that secrets and plain values make, the later over the earlier."""
        env: dict[str, str] = {}
        for source in sources:
            env |= self._secrets[source.secret_id] if source.secret_id else dict(source.env.contents)
        return env

    async def SandboxWaitV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        if not box.finished.is_set() and request.timeout > 0:
            await self._clock.event(box.finished, request.timeout)
        return api_pb2.SandboxWaitResponse(result=box.outcome, metadata=_about(box))

    async def SandboxTerminateV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        existing = box.outcome
        self._boxes.terminate(box)
        return api_pb2.SandboxTerminateResponse(existing_result=existing)

    async def SandboxGetTaskIdV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        if box.outcome is not None and self._faults.hit({"no_task"}, "SandboxGetTaskIdV2", box.name):
            return api_pb2.SandboxGetTaskIdResponse(task_result=box.outcome)
        return api_pb2.SandboxGetTaskIdResponse(task_id=box.task, task_result=box.outcome)

    async def SandboxGetCommandRouterAccess(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        if box.result is not None:
            raise Refused("FAILED_PRECONDITION", f"Sandbox {box.id} has already finished")
        return api_pb2.SandboxGetCommandRouterAccessResponse(url=self.url, jwt=_token())

    async def SandboxGetFromNameV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        app = self._apps.get(request.app_name, "")
        box = self._boxes.of_name(app, request.sandbox_name, request.include_terminated)
        return api_pb2.SandboxGetFromNameResponse(sandbox_id=box.id, metadata=_about(box))

    async def SandboxGetFromName(self, request: Any, metadata: Any) -> Any:
        raise Refused("NOT_FOUND", f"No Sandbox named {request.sandbox_name!r} found")

    async def SandboxTagsSetV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        box.tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        return Empty()

    async def SandboxTagsGetV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        return api_pb2.SandboxTagsGetResponse(tags=_tags(self._boxes.of_id(request.sandbox_id)))

    async def SandboxListV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        stale = self._faults.hit({"stale"}, "SandboxListV2", None)
        then = math.inf if stale is None else self._clock.now() - stale.more.get("by", 1.0)
        wanted = {(tag.tag_name, tag.tag_value) for tag in request.tags}
        page: list[Any] = []
        for box in self._boxes.before(request.before_timestamp):
            ran = box.created <= then and (box.over is None or box.over > then)
            if not (ran or request.include_finished) or request.app_id not in ("", box.app):
                continue
            if wanted <= box.tags.items():
                page.append(_info(box))
            if len(page) == PAGE:
                break
        return api_pb2.SandboxListResponse(sandboxes=page)

    async def SandboxGetExitSnapshotV2(self, request: Any, metadata: Any) -> Any:
        self._known(metadata)
        box = self._boxes.of_id(request.sandbox_id)
        if not box.wants_exit_snapshot:
            raise Refused("FAILED_PRECONDITION", "exit snapshots are not enabled for this Sandbox")
        fault = self._faults.hit({"exit_snapshot"}, "SandboxGetExitSnapshotV2", box.name)
        answer = fault.more.get("answer", "lost") if fault is not None else ""
        if answer in LOST:
            return Outcome(error=Outcome.Error(error_code=LOST[answer], message="no snapshot was made"))
        if answer == "pending":
            await self._clock.sleep(min(request.timeout, 1.0))
            return Outcome(pending=Outcome.Pending())
        made = box.exit_snapshot
        if made is not None and not made.done():
            await asyncio.wait([made], timeout=request.timeout)
        if made is None or not made.done():
            if made is None:
                await self._clock.event(box.finished, request.timeout)
            return Outcome(pending=Outcome.Pending())
        if made.cancelled():
            return Outcome(error=Outcome.Error(error_code=LOST["lost"], message="the snapshot failed"))
        return Outcome(success=Outcome.Success(image_id=made.result().id))

    def _known(self, metadata: Any) -> None:
        if not metadata.get("x-modal-auth-token"):
            raise Refused("UNAUTHENTICATED", "the call has no token")


def _token() -> str:
    return DecodedJwt.encode_without_signature({"exp": int(time.time()) + TOKEN_SECONDS}) + "unsigned"


def _failed(why: str) -> Any:
    return api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exception=why)


def _tags(box: Box) -> list[Any]:
    return [api_pb2.SandboxTag(tag_name=name, tag_value=value) for name, value in box.tags.items()]


def _about(box: Box) -> Any:
    return api_pb2.SandboxHandleMetadata(app_id=box.app, result=box.outcome)


def _info(box: Box) -> Any:
    return api_pb2.SandboxInfo(
        id=box.id,
        created_at=box.created,
        app_id=box.app,
        tags=_tags(box),
        name=box.name,
        image_id=box.image.id,
        timeout_secs=box.asked.timeout_secs,
        idle_timeout_secs=box.asked.idle_timeout_secs,
        task_info=api_pb2.TaskInfo(id=box.task, sandbox_id=box.id, started_at=box.created, result=box.outcome),
        metadata=_about(box),
    )
