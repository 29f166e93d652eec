"""How much bots may ask of us: two that answer each other would never end. `desk.py` asks before it takes a prompt."""

from bot.slack import blocks, courtesies
from bot.slack.calls import Budgets
from bot.slack.courtesies import Courtesy
from bot.slack.meanings import Post

HOUR = 3_600.0


class BotTurns:
    """So many prompts may each bot give in a thread and hour."""

    def __init__(self, record: Budgets, turns: int) -> None:
        self._record, self._turns = record, turns

    async def may_go_on(self, sid: str, post: Post) -> bool:
        """Whether a bot may give this prompt. Each takes one place, however often its message is delivered."""
        for place in range(self._turns):
            key = f"slack:bot:{sid}:{post.bot}:{place}"
            if await self._record.remember(key, post.prompt_id, HOUR):
                return True
            if await self._record.recall(key) == post.prompt_id:
                return True
        return False

    async def told(self, sid: str, post: Post) -> tuple[Courtesy, ...]:
        """What a bot hears that may not go on, once."""
        if not await self._record.remember(f"slack:bot:{sid}:{post.bot}:told", "1", HOUR):
            return ()
        return (Courtesy(post.channel, post.thread, blocks.plain_message(courtesies.BOT_LIMIT)),)
