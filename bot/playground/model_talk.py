"""One request to a model and one answer, whatever the protocol: the plain records between wires and scripts.

`model_anthropic.py`, `model_chat.py`, `model_responses.py` and `model_gemini.py` make a `Talk` of a request and bytes
of a `Reply`; `model_scripts.py` knows only these records. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
REMINDERS = ("<system-reminder>", "<session_context>", "<environment_context>")  # how what agents slip in begins


@dataclass(frozen=True)
class Talk:
    """What a request says. `prompt`: the person's newest words; `results`: of the tools called since, oldest first."""

    model: str
    prompt: str
    results: tuple[str, ...]
    tools: Mapping[str, Json]  # name -> JSON schema of its arguments
    stream: bool
    size: int  # characters of the request, for the count of tokens
    earlier: tuple[str, ...] = ()  # what was asked before in this conversation, oldest first


@dataclass(frozen=True)
class Call:
    """A tool that the model wants run."""

    name: str
    arguments: Json


@dataclass(frozen=True)
class Reply:
    """What the model answers. `pace`: seconds before each word, None: the server's own. `told_tokens`: what it says
    that it is long, if that is to be something else than it is."""

    words: str
    call: Call | None = None
    thought: str = ""
    pace: float | None = None
    told_tokens: int = 0

    @property
    def tokens(self) -> int:
        """About how many tokens it is."""
        if self.told_tokens:
            return self.told_tokens
        told = len(self.words) + len(self.thought) + (len(json.dumps(self.call.arguments)) if self.call else 0)
        return max(1, told // 4)


class Wire(Protocol):
    """One protocol. `events` gives the stream's parts in order; each word of the reply is a part of its own."""

    def talk(self, body: Json) -> Talk:
        """The request, read. Raises ValueError with a sentence."""

    def whole(self, talk: Talk, reply: Reply) -> Json:
        """The answer when no stream was asked for."""

    def events(self, talk: Talk, reply: Reply) -> Iterator[bytes]:
        """The answer as server-sent events."""

    def error(self, status: int, message: str) -> Json:
        """The body of an error."""


@dataclass
class Listener:
    """Collects prompt and results while a wire walks through the messages of a request."""

    prompt: str = ""
    results: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)

    def heard(self, content: object) -> None:
        """A person spoke: whatever tools said before belongs to an earlier prompt."""
        text = text_of(content)
        if text:
            self.earlier += [self.prompt] if self.prompt else []
            self.prompt, self.results = text, []

    def returned(self, content: object) -> None:
        """A tool returned."""
        self.results.append(text_of(content, reminders=True))


def text_of(content: object, reminders: bool = False) -> str:
    """The text of a message: a string, or a list of parts. Reminders that an agent slipped in are left out."""
    if isinstance(content, str):
        parts = [content]
    elif isinstance(content, list):
        parts = [str(part.get("text", "")) for part in content if isinstance(part, dict)]
    else:
        parts = []
    kept = (part for part in parts if part.strip() and (reminders or not part.lstrip().startswith(REMINDERS)))
    return "\n".join(kept)


def messages_of(body: Json, key: str) -> list[Json]:
    """The list of objects under `key`. Raises ValueError if it is none."""
    found = body.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"{key}: a list of objects is required")
    return found


def words_of(text: str) -> Iterator[str]:
    """The text in pieces of a word each; joined they are the text again."""
    start = 0
    for at, char in enumerate(text):
        if char in " \n" and at + 1 < len(text) and text[at + 1] not in " \n":
            yield text[start : at + 1]
            start = at + 1
    if start < len(text):
        yield text[start:]


def sse(data: Json | str, event: str | None = None) -> bytes:
    """One server-sent event."""
    told = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + f"data: {told}\n\n".encode()
