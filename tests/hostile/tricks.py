"""The tricks that a hostile agent plays, as a table. What each does is in `inside/`, under the same name.

`given` is handed to the trick as JSON; names in braces are filled in by `ground.py`. `by` says who has to refuse it,
and `log` what our code has to write down about it, with the box's id; None: the kernel refuses, which logs nothing.
"""

from tests.hostile.trick import Trick
from tests.hostile.tricks_of_greed import GREED, LEFT_BEHIND

WALLS = (
    Trick(
        "files.host_files",
        "read /etc/shadow, homes, our data",
        "kernel: own root",
        {"paths": "{host_paths}"},
        short=True,
    ),
    Trick("files.paths_of_mounts", "open host paths seen in /proc/mounts", "kernel: own root"),
    Trick(
        "files.write_system", "write programs, /run/gateway, /dev, /proc/sys", "kernel: read-only mounts", short=True
    ),
    Trick(
        "files.other_boxes",
        "another box's tree, layers, control socket",
        "kernel: own root and pids",
        {"paths": "{other_paths}", "sockets": "{other_sockets}", "mark": "{mark}"},
        short=True,
    ),
    Trick(
        "files.gateway_socket_replaced",
        "unlink, rename, rebind the gateway's socket",
        "kernel: read-only mount",
        short=True,
    ),
    Trick(
        "processes.host_processes",
        "signal, trace, list host processes",
        "kernel: own pids",
        {"pids": "{host_pids}"},
        short=True,
    ),
    Trick(
        "processes.runner_memory", "runner's memory, environment, fds, outbox", "kernel: undumpable runner", short=True
    ),
    Trick("processes.runner_signalled", "every signal to the runner", "kernel: pid 1 without handlers", short=True),
    Trick(
        "network.addresses",
        "TCP, UDP, IPv6, metadata, host's listeners",
        "kernel: no interface but lo",
        {"hosts": "{hosts}", "ports": "{ports}"},
        short=True,
    ),
    Trick("network.names", "resolve names", "kernel: no interface but lo"),
    Trick("network.families", "AF_VSOCK, AF_PACKET, raw and all other sockets", "kernel: seccomp", short=True),
    Trick(
        "network.abstract_sockets",
        "abstract sockets of the host",
        "kernel: own net namespace",
        {"names": "{abstract}"},
        short=True,
    ),
    Trick("network.netlink", "new links, addresses, routes, rules", "kernel: no capability"),
    Trick("network.port_taken", "listen at 127.0.0.1:8787", "kernel: the runner has it", short=True),
    Trick("kernel.doors", "io_uring, bpf, keyctl, perf, userfaultfd, …", "kernel: seccomp", short=True),
    Trick(
        "kernel.namespaces", "unshare, mount, setns, chroot, open_tree", "kernel: seccomp, no nested userns", short=True
    ),
    Trick(
        "kernel.powers",
        "setuid, capabilities, devices, priorities, limits",
        "kernel: no_new_privs, no capability",
        short=True,
    ),
    Trick("tree.devices", "forge whiteouts, devices, layer attributes", "kernel: no mknod, no trusted xattr"),
    Trick("tree.sparse", "claim a terabyte", "kernel: file size limit"),
)

GATEWAY = (
    Trick(
        "gateway.direct",
        "the gateway's socket without, with guessed, with dead tokens",
        "gateway: access",
        {"tokens": "{dead_tokens}"},
        log="no box has this token",
        short=True,
    ),
    Trick(
        "gateway.build_token",
        "an image's token for link, model and push",
        "gateway: access",
        {"build": "{build_token}"},
        log="refused",
        short=True,
    ),
    Trick(
        "forwarder.link",
        "the link through 8787, in 100 spellings",
        "runner: forwarder",
        log="runner: refused",
        short=True,
    ),
    Trick("forwarder.smuggling", "requests hidden in requests", "runner: forwarder", log="runner: refused", short=True),
    Trick("forwarder.model_elsewhere", "other providers, other paths of the model", "gateway: model", log="refused"),
    Trick("repository.other_repositories", "other repositories", "gateway: git", log="refused", short=True),
    Trick(
        "repository.branches",
        "main, other sessions' branches, tags, delete, force",
        "gateway: push rules",
        {"branch": "{branch}", "other": "{other_branch}"},
        log="push of",
        short=True,
    ),
    Trick(
        "repository.authors",
        "commits and co-authors who take no part",
        "gateway: push rules",
        {"branch": "{branch}"},
        log="push of",
        short=True,
    ),
    Trick(
        "repository.bad_trees",
        "workflows, .git/config, .gitmodules, bombs",
        "gateway: strict index-pack, push rules",
        {"branch": "{branch}"},
        log="push of",
    ),
    Trick(
        "repository.bad_packs",
        "broken packs, gzip bombs, endless lists",
        "gateway: quarantine",
        {"branch": "{branch}"},
        log="push of|refused",
    ),
)

OUTWARD = (
    Trick(
        "outward.private",
        "the host, its neighbours, cloud metadata through the proxy",
        "gateway: egress rules",
        {"hosts": "{hosts}", "ports": "{ports}"},
        log="does not reach",
        short=True,
    ),
    Trick("outward.unlisted", "names that are on no list", "gateway: egress rules", log="does not reach", short=True),
    Trick(
        "outward.smuggled",
        "the link and other hosts, hidden in a tunnel",
        "runner: proxy",
        log="does not reach",
        short=True,
    ),
    Trick(
        "outward.other_sessions",
        "look at, steer and stop other sessions",
        "gateway: tools",
        {"victim": "{victim}"},
        log="refused",
        short=True,
    ),
    Trick("outward.loop", "tool calls without end", "gateway: a pace for each session", log="refused", alone=True),
    Trick(
        "outward.spawn_storm",
        "sessions without end",
        "decide: bounds of a family",
        {"most": 12},
        log="refused",
        alone=True,
    ),
    Trick(
        "outward.files_of_others",
        "show people files of the host, of the system, pipes",
        "runner: plain files of its tree",
        {"paths": "{other_paths}"},
        log="refused",
        alone=True,
    ),
)

MOUTH = (
    Trick("mouth.one_line", "a line of 1 GB on its stdout", "runner: lines are bounded", {"megabytes": 1024}),
    Trick(
        "mouth.large_update",
        "an update of 40 MB",
        "runner: frames are bounded",  # what is said right after it may be left out with it
        {"megabytes": 40},
        bears=True,
        mute=True,
    ),
    Trick("mouth.deep_json", "JSON of depth 100 000", "runner: passed over", short=True),
    Trick(
        "mouth.forged_facts",
        "wire frames, answers, requests for files",
        "runner: passed over",
        {"open": "{open_calls}"},
        short=True,
    ),
    Trick("mouth.flood", "updates as fast as it can", "gateway: a pace for each box", {"seconds": 6}, bears=True),
)

ALL = (*WALLS, *GATEWAY, *OUTWARD, *MOUTH, *LEFT_BEHIND, *GREED)
