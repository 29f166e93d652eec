"""Recipes: what a devcontainer.json means, what is said of the rest, and that no text at all breaks the reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.devcontainer import parse
from sandbox.provider import Limits
from sandbox.recipe import (
    SHELL,
    Command,
    Recipe,
    RecipeError,
    detect,
    limits_of,
    without_images,
)
from tests.fuzz.anything import json_values, like, quickly

WHOLE = """\ufeff// our environment
{
  "name": "Rocket", /* shown
  nowhere */
  "image": "mcr.microsoft.com/devcontainers/python:3.12",
  "onCreateCommand": "pip install -e . // not a comment",
  "updateContentCommand": ["make", "deps"],
  "postCreateCommand": {"web": "npm ci", "api": ["uv", "sync"],},
  "postStartCommand": "redis-server --daemonize yes",
  "containerEnv": {"STAGE": "test", "PATH": "${containerWorkspaceFolder}/bin:${containerEnv:PATH}"},
  "remoteUser": "vscode",
  "customizations": {
    "vscode": {"extensions": []},
    "shipmate": {
      "agent": "opencode", "model": "anthropic/claude-sonnet-4-5",
      "warm": ["make test", ["make", "build"]], "check": ["make --version"],
      "egress": ["Example.com", "*.files.example.com"],
      "cpu": 2, "memory": 2048, "seconds": 900, "warmBoxes": 1, "colour": "red",
    },
  },
  "features": {"ghcr.io/devcontainers/features/node:1": {}},
  "forwardPorts": [3000],
  "whatever": 1,
}
"""


def shell(line: str, name: str = "") -> Command:
    return Command(name, (*SHELL, line))


def test_every_property_that_is_followed_is_read() -> None:
    recipe = parse(WHOLE, ".devcontainer.json")
    assert recipe.image == "mcr.microsoft.com/devcontainers/python:3.12"
    assert recipe.on_create == (shell("pip install -e . // not a comment"),)
    assert recipe.update_content == (Command("", ("make", "deps")),)
    assert recipe.post_create == (shell("npm ci", "web"), Command("api", ("uv", "sync")))
    assert recipe.post_start == (shell("redis-server --daemonize yes"),)
    assert recipe.warm == (shell("make test"), Command("", ("make", "build")))
    assert recipe.check == (shell("make --version"),)
    assert (recipe.agent, recipe.model) == ("opencode", "anthropic/claude-sonnet-4-5")
    assert recipe.egress == ("example.com", "*.files.example.com")
    assert (recipe.cpu, recipe.memory_bytes, recipe.seconds, recipe.warm_boxes) == (2, 2048 << 20, 900, 1)
    places = {"repo": "/work/repo", "name": "repo", "path": "/usr/bin", "home": "/work/home"}
    assert recipe.environment(places) == {"STAGE": "test", "PATH": "/work/repo/bin:/usr/bin"}


def test_what_is_not_followed_is_named_with_its_line() -> None:
    said = "\n".join(parse(WHOLE, "f").left_out)
    for line, name in ((21, "features"), (22, "forwardPorts"), (23, "whatever"), (13, "customizations.vscode")):
        assert f"line {line}: '{name}' is left out" in said
    assert "line 18: 'customizations.shipmate.colour'" in said
    assert len(parse(WHOLE, "f").left_out) == 5


def test_a_place_without_container_images_says_what_that_leaves_out() -> None:
    said = without_images(parse(WHOLE, "f"))
    assert [line.split(":")[0].split(" ")[0] for line in said] == ["image", "remoteUser", "cpu"]
    assert without_images(Recipe(where="f")) == ()


def test_memory_is_only_ever_less() -> None:
    recipe = parse(WHOLE, "f")
    assert limits_of(recipe, Limits(memory_bytes=1 << 30)).memory_bytes == 1 << 30
    assert limits_of(recipe, Limits(memory_bytes=4 << 30)).memory_bytes == 2 << 30
    assert limits_of(recipe, Limits(memory_bytes=None)).memory_bytes == 2 << 30
    assert limits_of(recipe, Limits()).cores == 2
    assert limits_of(None, Limits()) == Limits()


WRONG = {
    "[]": (1, "must be one object"),
    '{\n"image": 1}': (2, "image must be a string"),
    '{\n\n"image": "a b"}': (3, "image must be a name"),
    '{"postCreateCommand": 5}': (1, "must be a string, an array of strings, or an object"),
    '{"postCreateCommand": ""}': (1, "is empty"),
    '{"postCreateCommand": []}': (1, "must name a program"),
    '{"postCreateCommand": {"a": {"b": "c"}}}': (1, "postCreateCommand.a must be a string"),
    '{"postCreateCommand": ["a",\n 7]}': (2, "postCreateCommand.1 must be a string"),
    '{"containerEnv": {\n"A=B": "x"}}': (2, "is no name for a variable"),
    '{"containerEnv": {"A": "\\u0000"}}': (1, "has characters"),
    '{"containerEnv": {"A": "\\ud800"}}': (1, "has characters"),
    '{"containerEnv": {\n"A": 1}}': (2, "must be a string"),
    '{"customizations": 1}': (1, "customizations must be an object"),
    '{"customizations": {"shipmate": []}}': (1, "must be an object"),
    '{"customizations": {"shipmate": {\n"seconds": 1e999}}}': (2, "must be a number from 1 to 3600"),
    '{"customizations": {"shipmate": {"warmBoxes": true}}}': (1, "must be a number"),
    '{"customizations": {"shipmate": {"egress": [\n"ok.example",\n"127.0.0.1"]}}}': (3, "must be a host's name"),
    '{"customizations": {"shipmate": {"egress": ["localhost"]}}}': (1, "must be a host's name"),
    '{"customizations": {"shipmate": {"egress": ["*"]}}}': (1, "must be a host's name"),
    '{"customizations": {"shipmate": {"egress": ["a.example/../b"]}}}': (1, "must be a host's name"),
    '{"customizations": {"shipmate": {"agent": "../../bin/sh"}}}': (1, "must be a name"),
    '{"a": 1,\n"a": 2}': (2, "given twice"),
    '{"a": NaN}': (1, "NaN"),
    '{"a": ' + "9" * 5000 + "}": (1, "it is not JSON"),
    '{\n"a": /* for ever': (2, "it is not JSON"),
    "{,}": (1, "it is not JSON"),
    '{"a": [1,,]}': (1, "it is not JSON"),
    '{"a" "b"}': (1, "it is not JSON"),
    "": (1, "it is not JSON"),
    "{" * 3 + '\n"a": ' + "[" * 40: (1, "nested"),
    '{"a":' * 40: (1, "nested more than"),
    " " * (129 << 10): (1, "longer than 128 kB"),
    '{"postStartCommand": "' + "x" * 8193 + '"}': (1, "longer than 8192 bytes"),
    '{"postStartCommand": {"a": "' + "x" * 5000 + '", "b": "' + "x" * 5000 + '"}}': (1, "longer than 8192 bytes"),
    '{"onCreateCommand": {' + ",".join(f'"{n}": "x"' for n in range(33)) + "}}": (1, "more than 32 commands"),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: repr(text[:40]))
def test_a_wrong_file_is_refused_with_line_and_reason(text: str) -> None:
    line, reason = WRONG[text]
    with pytest.raises(RecipeError) as refused:
        parse(text, "f")
    if reason != "nested":
        assert refused.value.line == line
    assert reason in refused.value.reason
    assert len(str(refused.value)) < 400


def test_what_is_not_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(RecipeError) as refused:
        parse(b'{\n"name": "\xff"}', "f")
    assert (refused.value.line, refused.value.reason) == (2, "it is not UTF-8")


def test_variables_that_boxes_live_by_and_those_that_mean_nothing_are_left_out() -> None:
    text = '{"containerEnv": {"HOME": "/", "A": "${localEnv:SECRET}", "https_proxy": "x", "B": "$HOME ${C"}}'
    recipe = parse(text, "f")
    assert recipe.env == (("B", "$HOME ${C"),)
    assert len(recipe.left_out) == 3


@pytest.mark.parametrize("files, commands", [
    ({"uv.lock", "pyproject.toml", "requirements.txt"}, ["uv.lock: uv sync"]),
    ({"poetry.lock"}, ["poetry.lock: poetry install --no-interaction"]),
    ({"package.json", "pnpm-lock.yaml"}, ["pnpm-lock.yaml: pnpm install --frozen-lockfile"]),
    ({"package.json", "yarn.lock"}, ["yarn.lock: yarn install"]),
    ({"package.json", "package-lock.json"}, ["package-lock.json: npm ci"]),
    ({"go.mod", "Cargo.lock", "Cargo.toml"}, ["go.mod: go mod download", "Cargo.lock: cargo fetch --locked"]),
    ({"README.md"}, []),
])  # fmt: skip
def test_lock_files_say_how_a_project_is_set_up(files: set[str], commands: list[str]) -> None:
    recipe = detect(frozenset(files))
    assert [command.shown for command in recipe.update_content] == commands
    assert recipe.detected
    assert all(file in recipe.where for file in (line.split(":")[0] for line in commands))


def test_two_files_that_ask_for_the_same_have_one_digest() -> None:
    bare = '{"image": "a"}'
    assert parse(bare, "f").digest == parse('{ "image":"a", // why\n "name": "x", "whatever": 1 }', "g").digest
    assert parse(bare, "f").digest != parse('{"image": "b"}', "f").digest


@quickly
@given(st.text(max_size=60) | st.binary(max_size=60) | json_values.map(json.dumps))
def test_no_text_breaks_the_reader(text: str | bytes) -> None:
    try:
        recipe = parse(text, "f")
    except RecipeError as refused:
        assert refused.line >= 1
    else:
        assert Recipe.from_json(recipe.to_json()) == recipe


SHAPE = json.loads(WHOLE[WHOLE.index("{") :].replace("/* shown\n  nowhere */", "").replace(",}", "}")
                   .replace(",\n    }", "}").replace(",\n  }", "}").replace(",\n}", "}"))  # fmt: skip


@quickly
@given(like(SHAPE).map(json.dumps))
def test_a_file_that_is_nearly_right_is_read_or_refused_and_comes_back_from_the_record(text: str) -> None:
    try:
        recipe = parse(text, "f")
    except RecipeError as refused:
        assert refused.line == 1
    else:
        again = Recipe.from_json(recipe.to_json())
        assert again == recipe
        assert again.digest == recipe.digest
        assert again.left_out == recipe.left_out


@quickly
@given(st.lists(st.sampled_from(['"', "\\", "/", "*", "//", "/*", "*/", ",", "{", "}", "[", "]", ":", "\n", "a", " "])))
def test_no_arrangement_of_quotes_and_comments_breaks_the_reader(parts: list[str]) -> None:
    try:
        parse("".join(parts), "f")
    except RecipeError as refused:
        assert refused.line <= parts.count("\n") + 1


@pytest.mark.parametrize("piece", ['"\\', "/*", ", ", "/", '"', "\\\\", "//\n", "[],", '"a":'])
def test_no_long_text_takes_long(piece: str) -> None:
    text = "[" + piece * ((128 << 10) // len(piece) - 1)
    with pytest.raises(RecipeError):
        parse(text, "f")
