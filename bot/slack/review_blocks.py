"""The comments of a review as Slack's blocks: each with its place, what stands there, and the words. Pure; part of
`blocks.py`.

What reviewers and files say goes through `text.quiet`. A message has room for 50 blocks and about 13,000 characters.
"""

from bot.cards import LineComment, Review
from bot.slack import text as t
from bot.slack.block_kit import Block, context, section
from bot.slack.markdown import mrkdwn_of

SHOWN, ROOM, EACH, PLACE = 40, 7_000, 600, 200


def comment_blocks(review: Review) -> list[Block]:
    """A paragraph for each comment, as far as there is room, and how many more there are."""
    said, room = list[str](), ROOM
    for comment in review.comments[:SHOWN]:
        words = _comment(comment)
        room -= t.units(words)
        if room < 0:
            break
        said.append(words)
    left = len(review.comments) - len(said) + review.left_out
    more = [context(f"… and {left} more comment{'s' if left > 1 else ''} on the pull request")] if left else []
    return [*map(section, said), *more]


def _comment(comment: LineComment) -> str:
    code = t.one_line(comment.where.code, PLACE).replace("`", "'")
    place = [f"*{t.one_line(comment.where.label, PLACE)}*"] if comment.where.path else []
    head = "  ·  ".join([*place, *comment.marks, *([f"`{code}`"] if code else [])])
    quote = t.quiet(mrkdwn_of(comment.words), EACH).replace("\n", "\n> ")
    return f"{head}\n> {quote}" if head else f"> {quote}"
