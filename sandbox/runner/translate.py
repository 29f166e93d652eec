"""From an agent's `session/update`s to the frames of one turn (docs/wire.md). Pure but for the clock given.

`turns.py` feeds one `Translator` per turn and calls `flush` when it was asked to. What agents send differs a lot; every
field is taken as untrusted, bounded, and merged by tool call, because most agents send only what changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.runner.allowance import Allowance
from sandbox.runner.toolcalls import ToolCall, record, text_of

WORDS_CHARS = 16_000
RESTATED_CHARS, SUMMARY_CHARS, ENTRY_CHARS = 300, 2000, 300
PLAN_ENTRIES = 50
FRAMES, CHARS = (300, 30), (4 << 20, 64 << 10)  # at once, and in each second
CALLS_MOST = 20_000
LEFT_OUT = "the agent says more than can be shown, so words and steps are left out"
OUTPUT_SECONDS = 1.0
KINDS = {"agent_message_chunk": "text", "agent_thought_chunk": "thought"}
USAGE = (
    "used", "size", "amount", "inputTokens", "outputTokens", "totalTokens", "thoughtTokens", "cachedReadTokens",
    "cachedWriteTokens",
)  # fmt: skip
MOST = 1e15
STATUSES = ("pending", "in_progress", "completed")
Say = Callable[..., None]


class Translator:
    """`say(kind, **fields)` makes a frame; `flush_later()` is called when something waits for the next `flush`.

    `keep(name, text)` keeps an output that is too long for a frame, and says where.
    """

    def __init__(
        self,
        turn: int,
        repo: str,
        say: Say,
        flush_later: Callable[[], None],
        clock: Callable[[], float],
        keep: Callable[[str, str], str] = lambda _name, _text: "",
    ) -> None:
        self._turn, self._repo = turn, repo
        self._emit, self._flush_later, self._clock, self._keep = say, flush_later, clock, keep
        self.heard_at = clock()  # when the agent said something
        self._kind, self._words = "text", ""  # words that wait to be said
        self._opening: str | None = ""  # what the agent said first, until it was restated
        self._message: object = None
        self._last = self._said = ""
        self._ended = False  # whether the last text ended its line
        self._calls: dict[str, ToolCall] = {}
        self._changed: dict[str, float] = {}  # tool calls that wait to be said -> not before
        self._plan: list[dict[str, str]] = []
        self._frames, self._chars = Allowance(*FRAMES, clock), Allowance(*CHARS, clock)
        self._left_out = False
        self.usage: dict[str, Any] = {}
        self.in_trouble = False  # the agent told that it cannot go on, though it may call that an end of its turn

    @property
    def calls(self) -> list[ToolCall]:
        """What the agent has done with its tools."""
        return list(self._calls.values())

    @property
    def summary(self) -> str:
        """The agent's last words, at most 2000 characters."""
        return shorten((self._last.strip() or self._said.strip()), SUMMARY_CHARS)

    def update(self, update: dict[str, Any]) -> None:
        """Take one `update`. Kinds that we do not know are passed over; `journal.py` has them."""
        self.heard_at = self._clock()
        kind = update.get("sessionUpdate")
        if not isinstance(kind, str):
            return
        if kind in KINDS:
            self._spoke(KINDS[kind], update)
        elif kind in ("tool_call", "tool_call_update"):
            self._worked(update)
        elif kind == "plan":
            self._planned(update.get("entries"))
        elif kind == "session_info_update":
            self._told_state(record(record(record(update.get("_meta")).get("codex")).get("threadStatus")).get("type"))
        elif kind == "usage_update":
            self.used({**update, **record(update.get("cost"))})

    def _told_state(self, state: object) -> None:
        if state is not None:
            self.in_trouble = state == "systemError"

    def used(self, said: dict[str, Any]) -> None:
        """Take what the agent says of its use: known numbers, and nothing else of it."""
        for key in USAGE:
            value = said.get(key)
            if isinstance(value, (int, float)) and 0 <= value < MOST:  # not NaN either
                self.usage[key] = value

    @property
    def runs_command(self) -> bool:
        """Whether a command runs, as far as the agent told."""
        return any(call.tool == "execute" and not call.over for call in self._calls.values())

    def flush(self) -> None:
        """Say what waits, as far as it may be said now."""
        self._say_words()
        now = self._clock()
        for number, due in list(self._changed.items()):
            if due <= now:
                self._say_call(self._calls[number])
        if self._changed:
            self._flush_later()

    def finish(self) -> None:
        """The turn is over: say everything that still waits."""
        self._restate(whole=True)
        self._say_words()
        for number in list(self._changed):
            self._say_call(self._calls[number])

    def _say(self, kind: str, **fields: Any) -> None:
        """Make a frame, unless the agent says far more than anybody reads; that something is left out is said once."""
        if self._frames.take(1) and self._chars.take(len(fields.get("text", ""))):
            self._emit(kind, turn=self._turn, **fields)
        elif not self._left_out:
            self._left_out = True
            self._emit("dropped", reason=LEFT_OUT)

    def _spoke(self, kind: str, update: dict[str, Any]) -> None:
        text = text_of(update.get("content"))
        if not text:
            return
        if kind != self._kind:
            self._say_words()
            self._kind = kind
        if kind == "text":
            text = self._join(text, update.get("messageId"))
            self._ended = text.endswith("\n")
        self._words += text
        if len(self._words) >= WORDS_CHARS:
            self._say_words()
        elif self._words:
            self._flush_later()

    def _join(self, text: str, message: object) -> str:
        """Keep the agent's words by message, and put a blank line between two messages."""
        if message != self._message and self._message is not None and self._last.strip():
            text = text if self._ended else "\n\n" + text
            self._said, self._last = self._last, ""
        self._message = message
        if len(self._last) < 2 * SUMMARY_CHARS:  # no more of it is ever told
            self._last += text[: 2 * SUMMARY_CHARS]
        if self._opening is not None:
            self._opening += text
            self._restate()
        return text

    def _restate(self, whole: bool = False) -> None:
        """Say the task in the agent's first words, once its first paragraph is there."""
        if self._opening is None:
            return
        opening = self._opening.lstrip()
        if opening.strip() and (whole or "\n" in opening or len(opening) > RESTATED_CHARS):
            self._opening = None
            self._say_words()
            self._say("restated", text=first_sentences(opening.split("\n")[0]))

    def _say_words(self) -> None:
        words, self._words = self._words, ""
        for start in range(0, len(words), WORDS_CHARS):
            self._say(self._kind, text=words[start : start + WORDS_CHARS])

    def _worked(self, update: dict[str, Any]) -> None:
        number = str(update.get("toolCallId") or "")[:200]
        if number not in self._calls and len(self._calls) >= CALLS_MOST:
            return
        call = self._calls.setdefault(number, ToolCall(number, self._repo))
        what = call.merge(update)
        if call.keeps_plan:
            if call.todos:
                self._planned(call.todos)
            return
        self._restate(whole=True)
        if self._last.strip():
            self._said, self._last = self._last, ""
        if not call.announced and (call.informative or call.over):
            call.announced = True
            self._say_words()
            self._say("step", id=call.id, title=call.title, tool=call.tool)
        if call.announced and what:
            self._changed.setdefault(number, self._clock() + (OUTPUT_SECONDS if what == "output" else 0))
            if call.over:
                self._say_words()
                self._say_call(call)
            else:
                self._flush_later()

    def _say_call(self, call: ToolCall) -> None:
        self._changed.pop(call.id, None)
        whole = call.too_long and self._keep(f"{self._turn}-{call.id}", call.output)
        self._say("tool", **call.frame(whole or ""))

    def _planned(self, entries: object) -> None:
        plan = []
        for entry in entries if isinstance(entries, list) else []:
            text, status = record(entry).get("content"), record(entry).get("status")
            if isinstance(text, str) and text.strip() and status != "cancelled":
                known = status if status in STATUSES else "pending"
                plan.append({"text": shorten(text.strip(), ENTRY_CHARS), "status": known})
        plan = plan[:PLAN_ENTRIES]
        if plan != self._plan:
            self._plan = plan
            self._restate(whole=True)
            self._say_words()
            self._say("plan", entries=plan)


def first_sentences(text: str) -> str:
    """As many whole sentences from the beginning as fit; a very long first one is cut."""
    text = text.strip()
    if len(text) <= RESTATED_CHARS:
        return text
    ends = [match.end() for match in re.finditer(r"[.!?:][\"')]*(?=\s)", text[:RESTATED_CHARS])]
    return text[: ends[-1]] if ends else shorten(text, RESTATED_CHARS)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark where something is missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
