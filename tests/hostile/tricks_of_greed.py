"""The tricks that leave something behind or take everything, each in a box of its own. `tricks.py` joins the tables."""

from tests.hostile.trick import Trick

MEGABYTE = 1 << 20

LEFT_BEHIND = (
    Trick(
        "repository.settings_for_others",
        "hooks, filters, config, alternates for host and runner",
        "nobody runs them outside",
        alone=True,
        restored=True,
    ),
    Trick(
        "repository.hung_runner",
        "pipes and links where the runner reads and writes",
        "runner: replaces, never follows",
        alone=True,
        restored=True,
    ),
    Trick(
        "repository.repository_gone",
        ".git as a link, its config as a pipe",
        "runner: plain files only",
        alone=True,
        restored=True,
    ),
    Trick(
        "tree.strange",
        "symlink farms, hard links, odd names, setuid, pipes",
        "layers: nothing is followed",
        {"links": "{host_paths}"},
        alone=True,
        restored=True,
    ),
    Trick(
        "tree.deep", "folders deeper than any path", "layers: bounded walks", {"depth": 3000}, alone=True, restored=True
    ),
    Trick(
        "processes.daemon",
        "a process that outlives the turn and writes on",
        "runner: its author's, not the next one's",
        {"name": "daemon.txt"},
        alone=True,
        restored=True,
    ),
)

GREED = (
    Trick(
        "processes.everybody_killed",
        "kill -9 -1",
        "kernel: pid 1 is exempt; runner starts the agent again",
        alone=True,
        mute=True,
    ),
    Trick("greed.forks", "a fork bomb", "kernel: RLIMIT_NPROC of the box", {"seconds": 8}, alone=True),
    Trick("greed.threads", "threads without end", "kernel: RLIMIT_NPROC of the box", {"seconds": 5}, alone=True),
    Trick("greed.memory", "memory without end", "cgroup, or upkeep", alone=True, mute=True),
    Trick(
        "greed.shared_memory",
        "files in memory, memfds",
        "cgroup, or upkeep",
        {"bytes": 3 << 30, "seconds": 20},
        alone=True,
        mute=True,
    ),
    Trick(
        "greed.disk",
        "disk without end",
        "upkeep: disk limit",
        {"bytes": 700 * MEGABYTE, "seconds": 40},
        log="is ended: it has written",
        alone=True,
        person="disk",
        mute=True,
    ),
    Trick(
        "greed.nameless_disk",
        "disk without end, in files without names",
        "upkeep: disk limit",
        {"bytes": 700 * MEGABYTE, "seconds": 40},
        log="is ended: it has written",
        alone=True,
        person="disk",
        mute=True,
    ),
    Trick("greed.descriptors", "descriptors and inotify watches", "kernel: RLIMIT_NOFILE of the box", alone=True),
    Trick("greed.pages", "256 MB of locked memory", "kernel: RLIMIT_MEMLOCK", alone=True),
    Trick(
        "forwarder.slow",
        "2000 half requests at 8787",
        "runner: so many clients at once",
        {"seconds": 6, "most": 2000},
        alone=True,
    ),
    Trick(
        "gateway.crowd",
        "connections to the gateway without end",
        "gateway: so many of one box",
        {"seconds": 6},
        log="more than .* connections",
        alone=True,
    ),
    Trick(
        "gateway.storm",
        "requests to the gateway without end",
        "gateway: a pace for each box",
        {"connections": 90, "seconds": 6},
        log="no box has this token",
        alone=True,
    ),
)
