"""What became of sessions, in words: a line for the Home tab, a page for `shipmate outcomes`. Pure."""

from collections.abc import Iterator, Sequence

from bot.phases import dollars
from jobs.outcomes import Row, Summary

UNHEARD = (
    "No merge and no review is on record. If there were any, see that the forge's webhook reaches /github/events"
    " (GITHUB_WEBHOOK_SECRET; pull requests and reviews)."
)
HEADS = (
    "period", "repository", "agent", "sessions", "with PR", "merged", "answer p50", "p95", "approved first", "last",
    "revisions", "cost per merged",
)  # fmt: skip
LEFT = 3  # columns of words; the others have numbers, which stand at their right end
NONE = "-"


def headline(summary: Summary) -> str:
    """The last days in one line; "" if nobody has asked for anything."""
    whole = summary.whole
    if not whole.sessions:
        return ""
    said = [
        of(whole.sessions, "session"),
        f"{whole.with_pull_request} with a pull request",
        f"{whole.merged} merged ({_percent(whole.merged_share)})",
    ]
    if whole.answered_p50 is not None:
        said.append(f"first answer after {seconds(whole.answered_p50)}")
    return f"Last {of(summary.days, 'day')}: {', '.join(said)}"


def page(whole: Row, rows: Sequence[Row]) -> str:
    """Sentences about all of them, and a line for each row if there are several, or if each is of a time."""
    table = ["", *_table(rows)] if len(rows) > 1 or any(row.period for row in rows) else []
    return "\n".join([*_sentences(whole), *table])


def _sentences(whole: Row) -> Iterator[str]:
    yield (
        f"{of(whole.sessions, 'session')}, {whole.with_pull_request} with a pull request,"
        f" {whole.merged} with a merged one ({_percent(whole.merged_share)})."
    )
    if whole.answered_p50 is None or whole.answered_p95 is None:
        yield "First response of a model: none was asked, or none has answered."
    else:
        yield (
            f"First response of a model: half within {seconds(whole.answered_p50)}, 95 in 100 within"
            f" {seconds(whole.answered_p95)} ({of(whole.answered, 'session')})."
        )
    if whole.reviewed:
        yield (
            f"Reviews: {of(whole.reviewed, 'pull request')} with a verdict; the first one approves"
            f" {whole.approved_first} ({_percent(whole.approved_first_share)}), the last one {whole.approved_last}"
            f" ({_percent(whole.approved_last_share)}). Changes were requested {of(whole.changes_requested, 'time')}."
        )
    if whole.revisions_each is not None:
        yield (
            f"Revisions: {of(whole.revisions, 'push', 'pushes')} to {of(whole.pull_requests, 'pull request')} after"
            f" they were opened, {whole.revisions_each:.2f} each."
        )
    if whole.cost is None:
        yield "Cost: no price is known of what models took."
    elif whole.cost_per_merged is None:
        yield f"Cost: models took {dollars(whole.cost)}, and nothing is merged yet."
    else:
        yield f"Cost: models took {dollars(whole.cost)}, {dollars(whole.cost_per_merged)} for each merged pull request."
    if whole.pull_requests and not (whole.merged_pull_requests or whole.reviewed):
        yield UNHEARD


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns under their heads; a column in which nothing is said is left out."""
    lines = [HEADS, *(_cells(row) for row in rows)]
    columns = [column for column in zip(*lines, strict=True) if any(cell not in ("", NONE) for cell in column[1:])]
    widths = [max(map(len, column)) for column in columns]
    sides = [str.ljust if column[0] in HEADS[:LEFT] else str.rjust for column in columns]
    return [
        "  ".join(side(cell, width) for cell, width, side in zip(line, widths, sides, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.period,
        row.repository or "(not chosen)",
        row.agent,
        str(row.sessions),
        str(row.with_pull_request),
        f"{row.merged} ({_percent(row.merged_share)})",
        NONE if row.answered_p50 is None else seconds(row.answered_p50),
        NONE if row.answered_p95 is None else seconds(row.answered_p95),
        _percent(row.approved_first_share),
        _percent(row.approved_last_share),
        NONE if row.revisions_each is None else f"{row.revisions_each:.2f}",
        NONE if row.cost_per_merged is None else dollars(row.cost_per_merged),
    )


def of(count: int, one: str, more: str = "") -> str:
    """A count of things, such as `1 session` and `2 sessions`."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def seconds(took: float) -> str:
    """Such as `0.42 s`, `3.1 s`, `2 min`."""
    if took < 120:
        return f"{took:.2f} s" if took < 1 else f"{took:.1f} s" if took < 10 else f"{took:.0f} s"
    return f"{took / 60:.0f} min" if took < 7200 else f"{took / 3600:.1f} h"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.0%}"
