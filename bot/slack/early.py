"""What overtakes its own message: Slack promises no order, and several connections deliver at once.

A reply may come before the mention that it replies to, an edit or a deletion before the message. `desk.py` keeps such
things in the record for a while and asks for them when the message itself comes.
"""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from bot.slack.calls import Budgets
from bot.slack.meanings import Post
from jobs.events import Attachment

EARLY_SECONDS = 600.0
SLOTS = 3  # replies that are kept for one thread
EDITS = 10  # and edits of one message


class _Reply(BaseModel):
    """A reply to a message that we do not know yet."""

    model_config = ConfigDict(frozen=True)

    ts: str
    user: str
    bot: str
    text: str
    files: tuple[Attachment, ...]


class _Edit(BaseModel):
    """An edit of a message that perhaps we do not know yet."""

    model_config = ConfigDict(frozen=True)

    at: str
    text: str


class Early:
    """What came too early, by the message that it belongs to."""

    def __init__(self, record: Budgets, clock: Callable[[], float]) -> None:
        self._record, self._clock = record, clock

    async def keep_reply(self, sid: str, post: Post) -> None:
        """Keep a reply in a thread without a session, in case that its mention is still on the way."""
        if not self._recent(post.ts):
            return
        reply = _Reply(ts=post.ts, user=post.user, bot=post.bot, text=post.text, files=post.files).model_dump_json()
        for slot in range(SLOTS):
            if await self._record.remember(_slot(sid, slot), reply, EARLY_SECONDS):
                return
            if await self._record.recall(_slot(sid, slot)) == reply:
                return

    async def replies(self, sid: str, opening: Post) -> list[Post]:
        """The kept replies that were written after the message that opened the session."""
        found: list[Post] = []
        for slot in range(SLOTS):
            kept = await self._record.recall(_slot(sid, slot))
            if kept is None:
                break
            reply = _Reply.model_validate_json(kept)
            if reply.ts > opening.ts:
                post = Post(
                    opening.team, opening.channel, reply.ts, opening.thread, reply.user, reply.text, reply.files,
                    opening.private, reply.bot,
                )  # fmt: skip
                found.append(post)
        return sorted(found, key=lambda post: post.ts)

    async def keep_edit(self, post: Post, at: str) -> None:
        """Keep the text that a message has from this ts on, in case that the message itself is still on its way."""
        if not self._recent(post.ts):
            return
        edit = _Edit(at=at, text=post.text).model_dump_json()
        for slot in range(EDITS):
            if await self._record.remember(_edit(post.prompt_id, slot), edit, EARLY_SECONDS):
                return

    async def keep_deletion(self, prompt_id: str, ts: str) -> None:
        """Keep that a message is gone, in the same case."""
        if self._recent(ts):
            await self._record.remember(_deletion(prompt_id), "1", EARLY_SECONDS)

    async def by_now(self, prompt_id: str) -> tuple[str | None, bool]:
        """The text that this message has by now, if it was edited before it came, and whether it was deleted."""
        kept, deleted = await self._record.recall_each(_edit(prompt_id, 0), _deletion(prompt_id))
        edits: list[_Edit] = []
        while kept is not None:
            edits.append(_Edit.model_validate_json(kept))
            kept = await self._record.recall(_edit(prompt_id, len(edits))) if len(edits) < EDITS else None
        newest = max(edits, key=lambda edit: edit.at).text if edits else None
        return newest, deleted is not None

    def _recent(self, ts: str) -> bool:
        try:
            return self._clock() - float(ts) < EARLY_SECONDS
        except ValueError:
            return False


def _slot(sid: str, slot: int) -> str:
    return f"slack:early:{sid}:{slot}"


def _edit(prompt_id: str, slot: int) -> str:
    return f"slack:edited:{prompt_id}:{slot}"


def _deletion(prompt_id: str) -> str:
    return f"slack:deleted:{prompt_id}"
