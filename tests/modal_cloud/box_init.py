"""Process 1 of a box: starts the commands that the cloud sends it, and says how they ended. Standard library only.

`python box_init.py FD`: FD is one end of a socket of packets, each a JSON object. A `run` brings four open files: what
to run, as JSON of any length, and its stdin, stdout and stderr.
When the other end closes, this process ends, and with it, as the first of its namespace, all others.
"""

import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

ROOM = 64 << 10
MISSING, UNABLE = 127, 126
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def main(fd):
    link = socket.socket(fileno=fd)
    link.set_inheritable(False)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    running = {}
    say(link, {"ready": True})
    while True:
        ready, _, _ = select.select((link, wake), (), ())
        if wake in ready:
            os.read(wake, 4096)
        if link in ready:
            data, fds, _, _ = socket.recv_fds(link, ROOM, 4)
            if not data:
                os._exit(0)
            obey(link, json.loads(data), fds, running)
        reap(link, running)


def obey(link, wish, fds, running):
    if wish["do"] == "run":
        pid = os.fork()
        if pid == 0:
            become(fds)
        for fd in fds:
            os.close(fd)
        running[pid] = wish["id"]
        return
    if wish["do"] == "signal":
        for pid, name in running.items():
            if name == wish["id"]:
                send(os.kill, pid, wish["signal"])  # it may not lead its group yet
                send(os.killpg, pid, wish["signal"])
        return
    send(os.kill, -1, signal.SIGSTOP if wish["do"] == "freeze" else signal.SIGCONT)
    say(link, {"done": wish["id"]})


def send(function, whom, what):
    try:
        function(whom, what)
    except ProcessLookupError:
        return


def become(fds):
    """In the new process: be the command, or say on its error output why not."""
    wish = {"argv": ("it",)}
    try:
        with os.fdopen(fds.pop(0)) as told:
            wish = json.load(told)
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        Path(wish["cwd"]).mkdir(parents=True, exist_ok=True)
        os.chdir(wish["cwd"])
        os.execvpe(wish["argv"][0], wish["argv"], wish["env"])
    except OSError as failed:
        os.write(2, f"{wish['argv'][0]}: {failed.strerror}\n".encode())
        os._exit(MISSING if isinstance(failed, FileNotFoundError) else UNABLE)
    finally:
        os._exit(UNABLE)


def reap(link, running):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        name = running.pop(pid, None)
        if name is not None:
            code = os.waitstatus_to_exitcode(status)
            say(link, {"ended": name, "code": max(code, 0), "signal": max(-code, 0)})


def say(link, what):
    try:
        link.send(json.dumps(what).encode())
    except OSError:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
