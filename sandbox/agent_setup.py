"""How each agent is kept quiet and pointed at the gateway: its variables and files. Pure; `agents.py` names them.

Nothing in here is a secret: agents want a key to be set, and the gateway puts the real one in. What was measured of
each agent decides these settings.
"""

import json
from collections.abc import Mapping

from sandbox.agent_row import Setup

READS = ("read", "glob", "grep", "list", "todoread", "todowrite")  # OpenCode's tools that change nothing here
OPENCODE_VERSION = "1.18.33"
NO_KEY = "the-gateway-has-the-key"
# For agents that have no choice of their own, by provider.
DEFAULT_MODELS: Mapping[str, str] = {
    "anthropic": "anthropic/claude-sonnet-4-5",
    "openai": "openai/gpt-5.5",
    "gemini": "gemini/gemini-2.5-pro",
}
DEFAULT_MODEL = DEFAULT_MODELS["anthropic"]
ADDRESSES: Mapping[str, str] = {"anthropic": "/model/anthropic", "openai": "/model/openai", "gemini": "/model/gemini"}
# How a model's name begins -> the library by which OpenCode speaks its protocol, and its address at the gateway.
_LIBRARIES: Mapping[str, tuple[str, str]] = {
    "anthropic": ("@ai-sdk/anthropic", ADDRESSES["anthropic"] + "/v1"),
    "openai": ("@ai-sdk/openai", ADDRESSES["openai"]),
    "gemini": ("@ai-sdk/google", ADDRESSES["gemini"] + "/v1beta"),
}


def opencode(model: str) -> Setup:
    """OpenCode takes its whole configuration from one variable, so nothing is written into the repository."""
    provider, _, name = (model or DEFAULT_MODEL).partition("/")
    library, address = _LIBRARIES[provider]
    entry = {
        "name": name,
        "tool_call": True,
        "attachment": True,
        "reasoning": True,
        "limit": {"context": 200_000, "output": 8_192},
        "modalities": {"input": ["text", "image"], "output": ["text"]},
    }
    chosen = f"shipmate/{name}"
    config = {
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,  # its own undo store; ours is the branch
        "enabled_providers": ["shipmate"],
        "model": chosen,
        "small_model": chosen,  # else it looks for another one for titles
        "provider": {
            "shipmate": {
                "npm": library,
                "name": "Shipmate's gateway",
                "options": {"baseURL": "{gateway}" + address, "apiKey": NO_KEY},
                "models": {name: entry},
            }
        },
        # The box is the fence, so asking is only for the time before the tree is in step: the main agent asks, reads
        # apart. Subagents would hang for ever under "ask" (measured): they are asked for as a whole, and then free.
        "permission": {"*": "allow"},
        "agent": {"build": {"permission": {"*": "ask"} | dict.fromkeys(READS, "allow")}},
    }
    quiet = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE", "DEFAULT_PLUGINS", "CLAUDE_CODE")
    env = {"OPENCODE_CONFIG_CONTENT": json.dumps(config)} | {f"OPENCODE_DISABLE_{what}": "1" for what in quiet}
    return Setup(env, _opencode_plugins())


def _opencode_plugins() -> Mapping[str, str]:
    """OpenCode fetches the library for plugins of one's own, 63 MB in each box, unless its folder looks complete."""
    library = {"@opencode-ai/plugin": OPENCODE_VERSION}
    lock = {"name": "opencode", "lockfileVersion": 3, "packages": {"": {"dependencies": library}}}
    told = {"package.json": {"dependencies": library}, "package-lock.json": lock}
    told["node_modules/@opencode-ai/plugin/package.json"] = {"name": "@opencode-ai/plugin", "version": OPENCODE_VERSION}
    return {f".config/opencode/{name}": json.dumps(text) + "\n" for name, text in told.items()}


def claude(model: str) -> Setup:
    """Claude Code shall ask before each write, which else a model would judge. Updates and reports are off."""
    settings = {"permissions": {"defaultMode": "default"}, "includeCoAuthoredBy": False}
    env = {
        "ANTHROPIC_BASE_URL": "{gateway}" + ADDRESSES["anthropic"],
        "ANTHROPIC_API_KEY": NO_KEY,
        "CLAUDE_CONFIG_DIR": "{home}/.claude",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
        "NO_BROWSER": "1",
    }
    env |= {"ANTHROPIC_MODEL": _name(model)} if model else {}
    return Setup(env, {".claude/settings.json": json.dumps(settings, indent=2) + "\n"})


def codex(model: str) -> Setup:
    """Codex needs a provider of its own in its file; its sandbox is off, because the box is one and it nests badly."""
    lines = [
        'model_provider = "shipmate"',
        *([f"model = {json.dumps(_name(model))}"] if model else []),
        'approval_policy = "never"',
        'sandbox_mode = "danger-full-access"',
        "check_for_update_on_startup = false",
        "",
        "[analytics]",
        "enabled = false",
        "",
        "[model_providers.shipmate]",
        'name = "Shipmate"',
        'base_url = "{gateway}' + ADDRESSES["openai"] + '"',
        'env_key = "CODEX_API_KEY"',
        'wire_api = "responses"',
    ]
    env = {
        "CODEX_HOME": "{home}/.codex",
        "CODEX_API_KEY": NO_KEY,
        "INITIAL_AGENT_MODE": "agent-full-access",
        "MODEL_PROVIDER": "shipmate",
        "NO_BROWSER": "1",
    }
    return Setup(env, {".codex/config.toml": "\n".join(lines) + "\n"})


def gemini(model: str) -> Setup:
    """Gemini CLI must be told how it is to log in; it trusts the folder because the box is the fence."""
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {
            "enableAutoUpdate": False,
            "enableAutoUpdateNotification": False,
            "checkpointing": {"enabled": False},
        },
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        **({"model": {"name": _name(model)}} if model else {}),
    }
    env = {
        "GEMINI_API_KEY": NO_KEY,
        "GOOGLE_GEMINI_BASE_URL": "{gateway}" + ADDRESSES["gemini"],
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "true",
        "NO_BROWSER": "true",
        **({"GEMINI_MODEL": _name(model)} if model else {}),
    }
    return Setup(env, {".gemini/settings.json": json.dumps(settings, indent=2) + "\n"})


def custom(model: str) -> Setup:
    """Any agent: where the gateway is, under the names that most of them know."""
    return Setup(
        {
            "ANTHROPIC_BASE_URL": "{gateway}" + ADDRESSES["anthropic"],
            "ANTHROPIC_API_KEY": NO_KEY,
            "OPENAI_BASE_URL": "{gateway}" + ADDRESSES["openai"],
            "OPENAI_API_KEY": NO_KEY,
            "GOOGLE_GEMINI_BASE_URL": "{gateway}" + ADDRESSES["gemini"],
            "GEMINI_API_KEY": NO_KEY,
            "SHIPMATE_MODEL": model,
        }
    )


def pointed_at(provider: str, protocol: str, setup: Setup) -> Setup:
    """The same, with another provider of this protocol at its end."""
    usual, other = ADDRESSES[protocol], f"/model/{provider}"
    env = {name: value.replace(usual, other) for name, value in setup.env.items()}
    return Setup(env, {name: text.replace(usual, other) for name, text in setup.files.items()})


def _name(model: str) -> str:
    return model.partition("/")[2]
