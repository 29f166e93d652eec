"""Run as a program with an agent's name: writes the golden wire log of that agent anew, from a real run.

`tests/runner/test_golden_wires.py` plays the logs to the runner. What is long in them is cut, what is told word by word
is put together, and the lists of an agent's models and commands are left out.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.agents.boxes import wire
from tests.e2e.conftest import open_office

GOLDEN = Path(__file__).parent.parent / "runner/wires"
CHUNKS = ("agent_message_chunk", "agent_thought_chunk")
LISTS = ("availableCommands", "models", "modes", "configOptions", "authMethods", "_meta")
KEPT_META = ("terminal_output_delta", "terminal_exit", "codex")
CHARS = 600
SECONDS = 300.0
Message = dict[str, Any]


def reduced(lines: list[Message]) -> list[Message]:
    """The wire in short: `to` with the method alone, `from` without what nobody reads."""
    found: list[Message] = []
    for line in lines:
        if isinstance(line.get("to"), dict):
            found.append({"to": line["to"].get("method", "answer")})
        elif isinstance(line.get("from"), dict):
            message = _shortened(line["from"])
            if not _joined(found, message):
                found.append({"from": message})
    return found


def _joined(found: list[Message], message: Message) -> bool:
    """Whether this is one more word of what was said last; then it is put there."""
    update, last = _update(message), _update(found[-1].get("from", {})) if found else {}
    if update.get("sessionUpdate") not in CHUNKS or last.get("sessionUpdate") != update["sessionUpdate"]:
        return False
    if last.get("messageId") != update.get("messageId"):
        return False
    last["content"]["text"] += update["content"]["text"]
    return True


def _update(message: Message) -> Message:
    found: Message = (message.get("params") or {}).get("update") or {}
    return found


def _shortened(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in LISTS or (k == "_meta" and set(v) & set(KEPT_META))}
        return {k: _shortened(v, k) for k, v in kept.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    if isinstance(value, str) and len(value) > CHARS and key != "method":
        return value[: CHARS // 2] + " … " + value[-CHARS // 2 :]
    return value


async def record(name: str) -> None:
    """Let the agent fix the failing test, and write what passed between it and the runner."""
    async with open_office(name, SHIPMATE_START_SECONDS="60") as office:
        thread = await office.ada.says("@shipmate fix the failing test")
        await thread.settled(1, SECONDS)
        lines = reduced(await wire(office, thread))
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{name}.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


if __name__ == "__main__":
    for each in sys.argv[1:]:
        asyncio.run(record(each))
        print(GOLDEN / f"{each}.jsonl")
