"""A client of MCP servers over HTTP, as small as the rehearsal needs it: one tool call, answered in JSON.

`turn.py` calls it, in a thread of the turn's own. https://modelcontextprotocol.io/specification/2025-06-18
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.rehearsal.acts import Result

PROTOCOL = "2025-06-18"
SECONDS = 60.0


def call(address: str, tool: str, arguments: dict[str, Any]) -> Result:
    """Call a tool; whatever goes wrong is a `Result` that says so."""
    try:
        hello = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "rehearsal", "version": "1"}}
        _post(address, {"id": 1, "method": "initialize", "params": hello})
        _post(address, {"method": "notifications/initialized"})
        said = _post(address, {"id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
    except (OSError, ValueError) as wrong:
        return Result(False, f"{tool} could not be called: {wrong}")
    if "error" in said:
        return Result(False, str(said["error"].get("message", "it was refused without a reason")))
    result = said.get("result") or {}
    text = "\n".join(str(block.get("text", "")) for block in result.get("content") or [])
    return Result(not result.get("isError"), text)


def _post(address: str, message: dict[str, Any]) -> dict[str, Any]:
    """One message; its answer, empty for a notification's."""
    import urllib.request  # 30 ms, on nobody's way to the first words

    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": PROTOCOL,
    }
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    request = urllib.request.Request(address, body, headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the tools are next door
    with opener.open(request, timeout=SECONDS) as answer:
        text = answer.read()
    said = json.loads(text) if text else {}
    return said if isinstance(said, dict) else {}
