"""What an isolated box can and cannot do, how it lives and dies, and what a killed helper leaves behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import host_processes, interpreter, spawning
from sandbox.box_folder import BoxFolder, Record
from sandbox.cgroup import Cgroups
from sandbox.local import CA_BUNDLES, WAITED_FOR_SECONDS, LocalProvider
from sandbox.ownership import Owner
from sandbox.provider import BoxError, BoxSpec, BoxState, Gone, Limits, Permanent, SnapshotKind, Temporary
from sandbox.user_limits import LIMITS
from tests.sandbox.places import Place, clear


async def made(place: Place, name: str = "one", **more: object) -> BoxFolder:
    await place.provider.create(BoxSpec(name, place.greeting(), **more))  # type: ignore[arg-type]
    return BoxFolder(place.boxes / "box" / name)


async def run(place: Place, script: str, name: str = "one") -> str:
    """What a shell in the box prints, both outputs together."""
    done = await place.provider.exec(name, ("sh", "-c", f"exec 2>&1; {script}"))
    return done.stdout.decode()


async def python(place: Place, code: str, name: str = "one") -> str:
    done = await place.provider.exec(name, ("/usr/bin/python3", "-c", code))
    return (done.stdout + done.stderr).decode().strip()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 10
    while not await fact():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def pid_of(box: BoxFolder) -> int:
    return int(box.said()["child-pid"])


# --- the walls


async def test_a_box_sees_no_network_but_its_own_loopback(local: Place) -> None:
    await made(local)
    assert (await run(local, "ls /sys/class/net 2>/dev/null; cut -d: -f1 /proc/net/dev | tail -n +3")).split() == ["lo"]
    reach = "import socket; s = socket.socket(); s.settimeout(3); print(s.connect_ex(('{}', 80)))"
    for address in ("1.1.1.1", "169.254.169.254"):
        assert await python(local, reach.format(address)) != "0"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert await python(local, f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})))") == "111"


async def test_a_box_sees_nothing_of_the_host_and_of_us(local: Place) -> None:
    box = await made(local)
    assert (await run(local, "ls -A / | sort | xargs")).split() == sorted(
        {"bin", "dev", "etc", "lib", "opt", "proc", "run", "sbin", "tmp", "usr", "work"}
        | {name for name in ("lib32", "lib64", "libx32") if Path("/", name).exists()}
    )
    seen = await run(local, "cat /proc/1/cmdline /proc/*/environ /proc/self/mountinfo | tr '\\0' '\\n'")
    assert "the-token-of-a-box" not in seen
    assert "SHIPMATE" not in seen and str(box.path / "control.sock") not in seen
    names = (await run(local, "env | cut -d= -f1 | sort | xargs")).split()
    known = {"HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER", "GIT_TERMINAL_PROMPT"}
    known |= {name for proxy in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{proxy}_PROXY", f"{proxy.lower()}_proxy")}
    assert set(names) - {"_", "OLDPWD", "SHLVL"} == known


async def test_only_the_work_tree_and_scratch_can_be_written(local: Place) -> None:
    await made(local)
    for path in ("/usr/x", "/etc/passwd", "/run/gateway/x", "/opt/shipmate/runner.pyz", "/usr/bin/python3"):
        assert "writable" not in await run(local, f"(: >>{path}) && echo writable"), path
    assert "writable" in await run(local, "(: >>/work/x) && (: >>/tmp/x) && echo writable")


async def test_a_box_has_no_power_and_cannot_get_any(local: Place) -> None:
    await made(local)
    said = dict(line.split(":\t") for line in (await run(local, "cat /proc/self/status")).splitlines() if ":\t" in line)
    assert {said[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert said["NoNewPrivs"] == "1" and said["Seccomp"] == "2"
    assert "made" not in await run(local, "unshare --user true && echo made")
    assert "made" not in await run(local, "mount -t tmpfs none /tmp && echo made; mknod /work/x c 1 3 && echo made")


async def test_sockets_that_leave_the_network_namespace_do_not_exist(local: Place) -> None:
    await made(local)
    for family in (socket.AF_VSOCK, socket.AF_PACKET, socket.AF_ALG):
        assert "Address family not supported" in await python(local, f"import socket; socket.socket({int(family)}, 1)")


async def test_the_runner_cannot_be_looked_into_or_ended_from_inside(local: Place) -> None:
    box = await made(local)
    for file in ("environ", "mem", "fd/0", "maps"):
        assert "Permission denied" in await run(local, f"cat /proc/1/{file}")
    assert "denied" in await run(local, "ls /proc/1/fd") or "0" not in await run(local, "ls /proc/1/fd")
    with suppress(BoxError):  # it kills the shell that asks
        await run(local, "kill -9 1; kill -TERM -1; kill -9 -1")
    assert (await local.provider.status("one")).state is BoxState.RUNNING
    assert await run(local, "echo still here") == "still here\n"
    assert not host_processes.Pid1.found(pid_of(box), 1).__enter__()


async def test_a_box_with_a_dead_runner_is_dead_all_of_it(local: Place) -> None:
    box = await made(local)
    await run(local, "setsid sleep 300 >/dev/null 2>&1 </dev/null &")
    namespace = box.said()["pid-namespace"]
    os.kill(pid_of(box), signal.SIGKILL)

    async def dead() -> bool:
        return (await local.provider.status("one")).state is BoxState.DEAD

    await until(dead)
    assert (await local.provider.status("one")).exit_code == 137
    assert not [pid for pid in host_processes.every_process() if host_processes.namespace_of(pid) == namespace]
    assert await local.provider.last_state("one") is not None


async def test_nobody_else_can_reach_what_a_box_wrote(local: Place) -> None:
    box = await made(local)
    await run(local, "cp /usr/bin/env /work/setuid; chmod 4755 /work/setuid")
    assert (box.upper / "setuid").stat().st_mode & 0o4000
    owner = Owner.here()
    assert (box.path / "control.sock").stat().st_mode & 0o777 == 0o600
    await local.provider.terminate("one")
    left = await local.provider.last_state("one")
    assert left is not None
    for shut in (box.tree, local.boxes / "layers" / left.id):
        status = shut.stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o700, owner.uid)
    assert (local.boxes / "layers" / left.id / "tree/setuid").stat().st_uid == owner.uid


async def test_what_is_in_the_gateways_folder_is_seen_when_it_comes(local: Place) -> None:
    await made(local)
    with socket.socket(socket.AF_UNIX) as listening:
        fresh = local.gateway / "fresh"
        listening.bind(str(fresh))
        listening.listen()
        fresh.chmod(0o666)
        fresh.rename(local.gateway / "web-1.sock")
        code = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/gateway/web-1.sock'); print('through')"
        )
        assert await python(local, code) == "through"


# --- limits


async def test_limits_hold_for_each_box_by_itself(local: Place) -> None:
    limits = Limits(processes=20, open_files=64, file_bytes=1 << 20)
    await made(local, "one", limits=limits)
    await made(local, "two", limits=limits)
    fork = "import os, time\ntry:\n  for n in range(50):\n    os.fork() or time.sleep(300)\nexcept OSError:\n  print(n)"
    tasks = [local.provider.exec(name, ("/usr/bin/python3", "-c", fork), timeout=10) for name in ("one", "two")]
    counts = [int(done.stdout) for done in await asyncio.gather(*tasks)]
    assert all(10 <= count < 20 for count in counts), counts
    await local.provider.terminate("two", grace=0)
    await made(local, "three", limits=limits)
    assert await run(local, "ulimit -n; ulimit -c", "three") == "64\n0\n"
    await run(local, "head -c 3000000 /dev/zero >/work/big", "three")
    assert await run(local, "stat -c %s /work/big", "three") == f"{1 << 20}\n"


async def test_no_box_takes_all_the_watchers_of_the_host(local: Place) -> None:
    await made(local)
    count = "import ctypes\nn = 0\nwhile ctypes.CDLL(None).inotify_init() >= 0: n += 1\nprint(n)"

    async def limited() -> bool:
        return int(await python(local, count)) == LIMITS["max_inotify_instances"]

    await until(limited)


async def test_memory_is_limited_where_the_host_allows_it(local: Place) -> None:
    if not Cgroups(local.boxes).usable():
        pytest.skip("this host has no cgroups that we may use")
    await made(local, limits=Limits(memory_bytes=200 << 20))
    used = await local.provider.exec(
        "one", ("/usr/bin/python3", "-c", "bytearray(400 << 20); print('used')"), timeout=20
    )
    assert used.stdout == b"" and used.code == -signal.SIGKILL
    await local.provider.terminate("one")
    ours = Cgroups(local.boxes)._folder("memory", "one").name  # other runs on this machine have boxes of this name too
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{ours}"))


async def test_a_box_weighs_as_one_of_our_processes_while_somebody_waits_for_it_and_an_eighth_from_then_on(
    local: Place,
) -> None:
    box, cgroups = await made(local), Cgroups(local.boxes)
    files = cgroups._folder("cpu", "one") / "cpu.shares", cgroups._folder("", "one") / "cpu.weight"
    found = [file for file in files if file.exists()]
    if not found:
        pytest.skip("this host has no cgroups that we may use")
    assert [file.read_text() for file in found] in (["1024\n"], ["100\n"])
    record = json.loads((box.path / "record.json").read_text())
    (box.path / "record.json").write_text(json.dumps(record | {"born": record["born"] - WAITED_FOR_SECONDS}))
    await local.provider.overgrown()
    assert [file.read_text() for file in found] in (["128\n"], ["12\n"])


def test_a_host_without_cgroups_is_told_once(spot: Path, caplog: pytest.LogCaptureFixture) -> None:
    cgroups = Cgroups(spot, root=spot / "none")
    cgroups.add("a", os.getpid(), 1 << 30)
    cgroups.add("b", os.getpid(), 1 << 30)
    cgroups.remove("a")
    assert len(caplog.records) == 1


# --- every way to start


async def altered(place: Place, **changes: object) -> Place:
    """The same place with another runtime, as another host would have made it."""
    await made(place, "first")
    await place.provider.discard("first")
    (ready,) = (place.boxes / "runtime").glob("*/ready.json")
    ready.write_text(json.dumps({**json.loads(ready.read_text()), **changes}))
    return Place("local", place.folder)


async def grows(place: Place) -> None:
    """A box, a snapshot, and a box from it."""
    await made(place)
    await run(place, "mkdir d; echo 1 >d/f; git init -q .")
    snapshot = await place.provider.snapshot("one", SnapshotKind.TURN)
    await made(place, "two", base=snapshot.id)
    assert await run(place, "cat d/f; rm -r d; ls", "two") == "1\n"
    await place.provider.terminate("two")
    left = await place.provider.last_state("two")
    assert left is not None
    await made(place, "three", base=left.id)
    assert await run(place, "ls; git status -s; git log", "three") != ""
    assert "d" not in (await run(place, "ls", "three")).split()


async def test_an_older_bubblewrap_does_as_well(local: Place) -> None:
    await grows(await altered(local, mounts_overlays=False))
    with Path("/proc/self/mounts").open() as mounts:
        assert str(local.boxes) not in mounts.read(), "no mount of a box is seen on the host"


async def test_a_copied_interpreter_does_as_well(local: Place) -> None:
    again = await altered(local)
    (folder,) = (local.boxes / "runtime").glob("*/ready.json")
    copied = await asyncio.to_thread(interpreter.copied, folder.parent)
    place = await altered(again, python=copied.path, python_source="python")
    box = await made(place)
    assert await run(place, "echo runs") == "runs\n"
    assert Path(f"/proc/{pid_of(box)}/cmdline").read_bytes().startswith(b"/opt/shipmate/python/bin/python3")
    assert await run(place, "ls /opt/shipmate/python") == "bin\nlib\n"


@pytest.mark.parametrize("odd", ["a b,c:d", "x" * 150, "ümläut\\"])
async def test_a_folder_may_have_any_name(local: Place, odd: str) -> None:
    folder = local.folder / odd
    folder.mkdir()
    place = Place("local", folder)
    try:
        await grows(place)
        await grows_in_old_way(place)
    finally:
        await clear(place)


async def grows_in_old_way(place: Place) -> None:
    await clear(place)
    await grows(await altered(place, mounts_overlays=False))


async def test_more_layers_than_a_mount_takes(local: Place) -> None:
    base = None
    for number in range(35):
        name = f"box-{number}"
        await made(local, name, base=base)
        await run(local, f"echo {number} >f{number}; rm -f f{number - 2}", name)
        await local.provider.terminate(name, grace=0)
        left = await local.provider.last_state(name)
        assert left is not None
        base = left.id
        await local.provider.discard(name)
    await made(local, base=base)
    assert await run(local, "ls; cat f34") == "f33\nf34\n34\n"


# --- what others leave behind


async def test_a_box_frozen_by_a_killed_helper_is_thawed_by_whoever_looks(local: Place) -> None:
    box = await made(local)
    await run(local, "true")
    freezer = Cgroups(local.boxes).freezer("one")
    for way in (freezer, None):
        box.frozen.touch()
        with host_processes.Pid1.found(pid_of(box), box.said()["pid-namespace"], way) as process:
            assert process is not None
            process.freeze(lambda: None)
        if way is None and freezer is not None:
            process.thaw()  # with signals, a box is held only where there is no freezer
        assert await run(local, "echo thawed") == "thawed\n"
        assert not box.frozen.exists()


async def test_a_name_whose_maker_died_before_the_box_began_is_used_again(local: Place) -> None:
    await made(local, "first")
    _, lock = BoxFolder.make(local.boxes / "box", "one", Record({}, 0.0, (), host_processes.boot()), Owner.here())
    assert (await local.provider.status("one")).state is BoxState.RUNNING, "somebody is at it"
    os.close(lock)
    assert (await local.provider.status("one")).state is BoxState.DEAD
    await local.provider.discard("one")
    _, lock = BoxFolder.make(local.boxes / "box", "one", Record({}, 0.0, (), host_processes.boot()), Owner.here())
    os.close(lock)
    await made(local, "one")
    assert await run(local, "echo new") == "new\n"


async def test_what_still_builds_a_box_whose_maker_was_killed_is_ended_with_it(local: Place, tmp_path: Path) -> None:
    await made(local, "first")
    _, lock = BoxFolder.make(local.boxes / "box", "one", Record({}, 0.0, (), host_processes.boot()), Owner.here())
    (tmp_path / "bwrap").symlink_to("/bin/sleep")
    with subprocess.Popen([tmp_path / "bwrap", "600"], pass_fds=[lock]) as building:
        os.close(lock)
        assert (await local.provider.status("one")).state is BoxState.RUNNING
        await local.provider.terminate("one", grace=0)
        assert building.wait(10) == -signal.SIGKILL
    assert (await local.provider.status("one")).state is BoxState.DEAD
    assert (await local.provider.status("first")).state is BoxState.RUNNING
    await local.provider.discard("one")


def test_a_greeting_that_finds_no_room_is_not_waited_for(spot: Path) -> None:
    with pytest.raises(BlockingIOError):
        spawning.spawn(("/bin/cat",), b"x" * (1 << 20), spot / "log", (), Owner.same())


async def test_a_number_that_is_another_process_now_is_no_box(local: Place) -> None:
    box = await made(local)
    await local.provider.terminate("one")
    assert (await local.provider.status("one")).exit_code == 0
    said = {**box.said(), "child-pid": os.getpid()}
    del said["exit-code"]
    box.status.write_text(json.dumps(said))
    assert (await local.provider.status("one")).state is BoxState.DEAD
    await local.provider.terminate("one")  # and nobody else is ended


async def test_after_a_restart_of_the_machine_no_box_lives(local: Place) -> None:
    box = await made(local)
    await local.provider.terminate("one")
    assert (await local.provider.status("one")).exit_code is not None
    other = await made(local, "two")
    box.status.write_text(json.dumps(other.said()))  # the same numbers, by chance
    record = json.loads((box.path / "record.json").read_text())
    (box.path / "record.json").write_text(json.dumps({**record, "boot": "the one before"}))
    assert (await local.provider.status("one")).state is BoxState.DEAD
    await local.provider.discard("one")
    assert (await local.provider.status("two")).state is BoxState.RUNNING


async def test_a_folder_that_boxes_cannot_reach_is_named(local: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user reaches what is his")
    home = local.folder / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(Permanent, match=f"{home}.*SHIPMATE_BOXES_DIR"):
        await made(Place("local", home / "data"))


async def test_what_makers_left_half_made_is_removed_after_a_while(local: Place) -> None:
    await made(local)
    old, new = local.boxes / "box/.old.1", local.boxes / "box/.new.1"
    (old / "tree").mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))
    half, making = local.boxes / "layers/.0123456789abcdef.1", local.boxes / "layers/.0123456789abcdef.2"
    for layer in (half, making):
        (layer / "tree").mkdir(parents=True)
    os.utime(half, (0, 0))
    assert [info.name for info in await local.provider.list()] == ["one"]
    assert not old.exists() and new.exists()
    assert not half.exists() and making.exists()


async def test_a_box_lives_on_without_its_watcher(local: Place) -> None:
    box = await made(local)
    parent = int(Path(f"/proc/{pid_of(box)}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert await run(local, "echo on") == "on\n"
    await local.provider.terminate("one")
    info = await local.provider.status("one")
    assert (info.state, info.exit_code) == (BoxState.DEAD, None)
    assert await local.provider.last_state("one") is not None


async def test_the_last_state_of_a_living_box_is_not_taken(local: Place) -> None:
    await made(local)
    with pytest.raises(Temporary, match="still runs"):
        await local.provider.last_state("one")
    assert await run(local, "echo unharmed") == "unharmed\n"


async def test_a_box_that_dies_during_a_command_is_gone(local: Place) -> None:
    box = await made(local)
    running = asyncio.ensure_future(local.provider.exec("one", ("sh", "-c", ": >begun; sleep 300")))

    async def begun() -> bool:
        return (box.upper / "repo/begun").exists()

    await until(begun)
    os.kill(pid_of(box), signal.SIGKILL)
    with pytest.raises(Gone):
        await running


async def test_a_host_that_forbids_it_is_named_for_good(spot: Path) -> None:
    place = Place("local", spot)
    provider = place.provider
    assert isinstance(provider, LocalProvider)
    await asyncio.to_thread(provider._prepare)
    (ready,) = (place.boxes / "runtime").glob("*/ready.json")
    ready.write_text(json.dumps({**json.loads(ready.read_text()), "bwrap": "/bin/false"}))
    with pytest.raises((Temporary, Permanent), match="could not be started|isolate"):
        await provider.create(BoxSpec("one", place.greeting()))
    fresh = Place("local", spot).provider
    with pytest.raises((Temporary, Permanent)):
        await fresh.create(BoxSpec("one", place.greeting()))
    assert (await fresh.status("one")).state is BoxState.GONE, "nothing is left of a box that never was"


async def test_certificates_that_are_named_are_believed_beside_this_machines_own(spot: Path) -> None:
    named = spot / "named.pem"
    named.write_text("-----BEGIN CERTIFICATE-----\nnamed\n-----END CERTIFICATE-----\n")
    named.chmod(0o600)
    place = Place("local", spot)
    place.provider = LocalProvider(place.boxes, gateway=place.gateway, agents=place.agents, ca_file=named)
    try:
        await made(place)
        seen = await run(place, 'cat "$SSL_CERT_FILE" | tail -2 | head -1; grep -c BEGIN "$REQUESTS_CA_BUNDLE"')
    finally:
        await clear(place)
    own = next((path for path in map(Path, CA_BUNDLES) if path.is_file()), None)
    count = own.read_text(errors="replace").count("BEGIN") if own is not None else 0
    assert seen.split() == ["named", str(count + 1)]


async def test_a_box_believes_whom_this_machine_believes_and_sees_no_key(local: Place) -> None:
    await made(local)
    seen = await run(local, "ls /etc/ssl; ls /etc/pki/tls 2>/dev/null; true")
    assert not {"private", "misc"} & set(seen.split())
    assert ("certs" in seen.split()) == Path("/etc/ssl/certs").is_dir()
