"""What `shipmate doctor` says of the agent and of its model. Called by `doctor.py`."""

import aiohttp

from bot.findings import Finding
from bot.gateway.model_account import Limits, NotAllowed
from bot.gateway.model_upstreams import Upstream, upstreams
from bot.settings import BotSettings
from sandbox import agents
from sandbox.side_by_side import HERE


async def agent(settings: BotSettings) -> list[Finding]:
    """The agent that sessions have: whether there is such a one, and whether it is installed where it is needed."""
    try:
        row = agents.row(settings.jobs.agent)
        agents.check_model(settings.jobs.model, row, settings.jobs.speaking)
        agents.greeting_agent(row, settings.jobs.model, settings.jobs.agent_command, settings.jobs.speaking)
    except ValueError as wrong:
        return [Finding("agent", str(wrong), "correct SHIPMATE_AGENT, SHIPMATE_MODEL or SHIPMATE_AGENT_COMMAND")]
    if HERE in settings.jobs.used_places and not agents.installed(row, settings.jobs.agents_dir):
        return [Finding("agent", f"{row.name} is not installed", f"shipmate agents install {row.name}")]
    return [Finding("agent", row.name)]


async def model(settings: BotSettings) -> list[Finding]:
    """Its model: whether it may be used, and whether its provider takes the key."""
    row = agents.ROWS.get(settings.jobs.agent)
    if row is None or not row.speaks:
        return [
            Finding("model", f"none needed: {settings.jobs.agent} is a script" if row else "there is no such agent")
        ]
    provider, _, name = settings.jobs.model.partition("/")
    provider = provider or row.speaks[0]
    upstream = upstreams(settings).get(provider)
    if upstream is None:
        return [Finding("model", f"there is no provider {provider}", "correct SHIPMATE_MODEL")]
    if upstream.key is None and not upstream.keyless:
        return [Finding("model", f"no key for {provider}", f"set {upstream.setting}")]
    try:
        if name:
            Limits(settings.models, settings.model_prices, settings.budget).check(provider, name)
    except NotAllowed as refused:
        return [Finding("model", str(refused), "correct SHIPMATE_MODEL, SHIPMATE_MODELS or SHIPMATE_MODEL_PRICES")]
    return [await _ask_model(upstream)]


async def _ask_model(upstream: Upstream) -> Finding:
    headers = {"anthropic-version": "2023-06-01"}
    if upstream.key is not None:
        headers |= [upstream.protocol.with_key(upstream.key.get_secret_value())]
    url = f"{upstream.url.rstrip('/')}/{upstream.protocol.listing}"
    try:
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
            if answer.status in (401, 403):
                said = f"the provider refused the key ({answer.status})"
                return Finding("model", said, f"set {upstream.setting} anew")
            return Finding("model", f"the provider answers ({answer.status})")
    except (aiohttp.ClientError, OSError) as trouble:
        return Finding("model", f"{url} cannot be reached: {type(trouble).__name__}", "see the address and the network")
