"""The part of the record that knows images: the last good ones of each repository, its builds, and who waits for one.

`jobs/store.py` has one. Whoever holds a repository's lease (`image:NAME`) writes its standing; all else is one command
or one script, for anybody. A snapshot that no image names any more is noted in the same moment, for
`jobs/store_leftovers.py`.
"""

import json
from typing import Any

import redis.asyncio as redis

from jobs.image_records import KEPT_IMAGES, Image, Standing
from jobs.store_scripts import PREFIX, UNNAMED

GOOD, STANDINGS, ASKED = f"{PREFIX}good-images", f"{PREFIX}image-standings", f"{PREFIX}images-asked"

# KEYS: good images, unnamed. ARGV: repository, how many are kept, a new image as JSON or "", the id of one to drop,
#       the time. Answers whether anything changed.
CHANGE = """
local kept = cjson.decode(redis.call('HGET', KEYS[1], ARGV[1]) or '[]')
local images, named, changed = {}, {}, 0
if ARGV[3] ~= '' then
  images[1] = ARGV[3]
  named[cjson.decode(ARGV[3]).snapshot] = true
  changed = 1
end
for _, text in ipairs(kept) do
  local image = cjson.decode(text)
  local stays = #images < tonumber(ARGV[2]) and image.id ~= ARGV[4] and not named[image.snapshot]
  if stays then
    images[#images + 1] = text
    named[image.snapshot] = true
  else
    changed = 1
  end
end
for _, text in ipairs(kept) do
  local snapshot = cjson.decode(text).snapshot
  if not named[snapshot] then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1] .. ' ' .. snapshot) end
end
if #images == 0 then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(images)) end
return changed
"""


class Images:
    """Everything about images but their bytes."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._change = client.register_script(CHANGE)

    async def newest(self, repository: str) -> Image | None:
        """What a session of this repository starts from."""
        return next(iter(await self.good(repository)), None)

    async def good(self, repository: str) -> list[Image]:
        """The last good images, the newest first."""
        return _images(await self._do("HGET", GOOD, repository))

    async def all_good(self) -> dict[str, list[Image]]:
        """Those of every repository."""
        return {name: _images(text) for name, text in dict(await self._do("HGETALL", GOOD)).items()}

    async def add(self, image: Image) -> None:
        """This is the newest image of its repository now; the oldest one makes room, if need be."""
        await self._changed(image.repository, image.built_at, KEPT_IMAGES, add=image.model_dump_json())

    async def drop(self, image: Image, at: float) -> bool:
        """It is good no more; False: it was dropped already."""
        return await self._changed(image.repository, at, KEPT_IMAGES, drop=image.id)

    async def keep_only(self, repository: str, many: int, at: float) -> bool:
        """Drop all but the newest so many; whether there were more."""
        return await self._changed(repository, at, many)

    async def _changed(self, repository: str, at: float, most: int, add: str = "", drop: str = "none") -> bool:
        return bool(await self._change(keys=[GOOD, UNNAMED], args=[repository, most, add, drop, at]))

    async def standing(self, repository: str) -> Standing:
        """How it stands with the builds of a repository."""
        kept = await self._do("HGET", STANDINGS, repository)
        return Standing() if kept is None else Standing.model_validate_json(kept)

    async def standings(self) -> dict[str, Standing]:
        """That of every repository that was built once."""
        kept = dict(await self._do("HGETALL", STANDINGS))
        return {name: Standing.model_validate_json(text) for name, text in kept.items()}

    async def save_standing(self, repository: str, standing: Standing) -> None:
        """For the holder of the lease alone."""
        await self._do("HSET", STANDINGS, repository, standing.model_dump_json())

    async def builder(self, repository: str) -> str | None:
        """The box in which an image of it is being built, or None."""
        said: str | None = await self._do("GET", f"{PREFIX}lease:image:{repository}")
        return said

    async def ask(self, repository: str, at: float) -> None:
        """Have an image built soon, whether or not anything is new."""
        await self._do("HSET", ASKED, repository, at)

    async def asked(self, repository: str) -> float | None:
        """When somebody asked for one that was not built since."""
        said = await self._do("HGET", ASKED, repository)
        return None if said is None else float(said)

    async def all_asked(self) -> dict[str, float]:
        """The same, for every repository."""
        return {name: float(at) for name, at in dict(await self._do("HGETALL", ASKED)).items()}

    async def answered(self, repository: str) -> None:
        """It was built, or at least tried."""
        await self._do("HDEL", ASKED, repository)

    async def wait_for(self, repository: str, sid: str) -> None:
        """This session began without an image: it is told if none can be built."""
        await self._do("SADD", _waiting(repository), sid)

    async def waiting(self, repository: str) -> list[str]:
        """The sessions to tell; they are not told again."""
        async with self._redis.pipeline(transaction=True) as both:
            both.smembers(_waiting(repository))
            both.delete(_waiting(repository))
            members, _ = await both.execute()
        return sorted(members)

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]


def _waiting(repository: str) -> str:
    return f"{PREFIX}waiting-for-image:{repository}"


def _images(text: str | None) -> list[Image]:
    if text is None:
        return []
    return [Image.model_validate_json(one) for one in json.loads(text)]
