"""The official SDK's MCP client, reaching a gateway's socket as a box does: with its token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import mcp_types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

ADDRESS = "http://gateway/tools/mcp"


@asynccontextmanager
async def tools_of(socket: Path, token: str = "t-1") -> AsyncIterator[Client]:
    """A connected client of the box that has this token."""
    transport = httpx2.AsyncHTTPTransport(uds=str(socket))
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers, timeout=10.0) as http,
        Client(streamable_http_client(ADDRESS, http_client=http)) as client,
    ):
        yield client


def text_of(result: mcp_types.CallToolResult) -> str:
    """What an agent reads of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, mcp_types.TextContent))


async def posted(socket: Path, body: bytes, token: str = "t-1", **headers: str) -> httpx2.Response:
    """What any bytes are answered with."""
    told = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(socket)), timeout=10.0) as http:
        return await http.post(ADDRESS, content=body, headers=told | headers)
