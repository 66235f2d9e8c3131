"""The double of Discord, seen by discord.py itself: what it grants, and that it is as strict as the real one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.platforms.discord import DiscordDouble
from tests.waiting import eventually, until

INTENTS = discord.Intents(guilds=True, guild_messages=True, dm_messages=True, reactions=True)


class Bot(discord.AutoShardedClient):
    def __init__(self, intents: discord.Intents = INTENTS) -> None:
        super().__init__(intents=intents, max_messages=None)
        self.heard: list[discord.Message] = []

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)

    async def call(self, verb: str, path: str, **body: Any) -> Any:
        return await self.http.request(Route(verb, path), **({"json": body} if body else {}))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiscordDouble]:
    double = DiscordDouble()
    double.start()
    monkeypatch.setattr(Route, "BASE", double.environment["DISCORD_API_URL"])
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(double.environment["DISCORD_GATEWAY_URL"]))
    yield double
    double.stop()


@pytest.fixture
async def bot(double: DiscordDouble) -> AsyncIterator[Bot]:
    bot = Bot()
    running = asyncio.create_task(bot.start(double.token))
    await until(lambda: double.connected() and bot.guilds)
    yield bot
    await bot.close()
    await running


def test_the_sdk_reads_the_server_and_hears_people(double: DiscordDouble, bot: Bot) -> None:
    assert [channel.name for channel in bot.guilds[0].text_channels] == ["general", "quiet"]
    assert bot.guilds[0].get_thread(int(double.world.thread)).me


async def test_content_comes_with_a_mention_or_a_direct_message_alone(double: DiscordDouble, bot: Bot) -> None:
    double.say("overheard", place="group", mention=False)
    double.say("hello", place="group")
    double.say("psst")
    await until(lambda: len(bot.heard) == 3)
    assert [message.content for message in bot.heard] == ["", f"<@{double.world.bot['id']}> hello", "psst"]


async def test_what_was_missed_is_replayed_on_resume(double: DiscordDouble, bot: Bot) -> None:
    double.run(double.gateway.cut(4000))
    double.say("while you were away")
    await until(lambda: bot.heard)
    assert len(double.gateway.resumed) == 1
    assert len(double.gateway.identified) == 1


async def test_the_content_intent_must_be_granted(double: DiscordDouble) -> None:
    intents = discord.Intents(guilds=True, message_content=True)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await Bot(intents).start(double.token)
    double.grant_message_content()
    assert double.gateway.granted


async def test_a_nonce_makes_a_repeat_harmless(double: DiscordDouble, bot: Bot) -> None:
    channel = bot.get_partial_messageable(int(double.world.direct("ada")))
    first = await channel.send("once", nonce="key")
    again = await channel.send("once", nonce="key")
    assert first.id == again.id
    assert len(double.posts) == 1
    assert double.calls[-1].arguments["enforce_nonce"] is True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": "x" * 2001}, 50035),
        ({"content": "  "}, 50006),
        ({"content": "x", "nonce": "n" * 26}, 50035),
        ({"content": "x", "message_reference": {"message_id": "1"}}, 50035),
    ],
)
async def test_bad_messages_are_refused(double: DiscordDouble, bot: Bot, body: dict[str, Any], code: int) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await bot.call("POST", f"/channels/{double.world.general}/messages", **body)
    assert refused.value.code == code


async def test_two_thousand_emoji_fit(double: DiscordDouble, bot: Bot) -> None:
    await bot.call("POST", f"/channels/{double.world.general}/messages", content="😀" * 2000)
    assert len(double.posts[0].text) == 2000


async def test_a_ping_is_a_violation(double: DiscordDouble, bot: Bot) -> None:
    place = f"/channels/{double.world.general}/messages"
    await bot.call("POST", place, content="hi @everyone", allowed_mentions={"parse": []})
    assert not double.violations
    await bot.call("POST", place, content="hi @everyone")
    assert "@everyone" in double.violations[0]


async def test_the_sixth_message_in_five_seconds_is_one_too_many(double: DiscordDouble) -> None:
    url = f"{double.environment['DISCORD_API_URL']}/channels/{double.world.general}/messages"
    headers = {"Authorization": f"Bot {double.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(5):
            async with session.post(url, json={"content": "x"}) as response:
                assert response.status == 200
        async with session.post(url, json={"content": "x"}) as response:
            assert response.status == 429
            assert 0 < (await response.json())["retry_after"] <= 5


async def test_an_interaction_that_nobody_answers_is_a_violation(double: DiscordDouble, bot: Bot) -> None:
    double.rest.deadline_s = 0.2
    interaction = double.command("help")
    eventually(lambda: double.violations)
    with pytest.raises(discord.NotFound):
        await bot.call("POST", f"/interactions/{interaction.id}/{interaction.token}/callback", type=5)
