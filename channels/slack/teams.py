"""The workspaces in which the bot is installed: who it is there, its connection to the Web API, people's names."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from channels.slack.limits import Limits, names
from channels.slack.parse import Me
from channels.slack.settings import Credentials
from channels.slack.trouble import LockedOut, Refused, asked
from core.errors import DeliveryError, DeliveryLater, DeliveryRefused, SettingsError

log = logging.getLogger(__name__)

TIMEOUT_S = 30
NAME_TTL_S = 3600
NAMELESS_TTL_S = 60
NAMES = 2000
AT_ONCE = 20
NAME_WAIT_S = 0.5  # of the three seconds in which Slack wants its acknowledgement
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0


@dataclass(frozen=True)
class Team:
    """One workspace."""

    me: Me
    api: AsyncWebClient


class Teams:
    """All workspaces, by id. Tokens are asked for their workspace once; one that is refused is tried again."""

    def __init__(self, credentials: Credentials, bot_name: str, limits: Limits) -> None:
        self.limits = limits
        self._credentials = credentials
        self._bot_name = bot_name
        self._teams: dict[str, Team] = {}
        self._unknown = len(credentials.bot_tokens)
        self._session: aiohttp.ClientSession | None = None
        self._names: OrderedDict[tuple[str, str], tuple[str | None, float]] = OrderedDict()
        self._asking: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Team]:
        return iter(list(self._teams.values()))

    async def sign_in(self, then: Callable[[Team], Awaitable[None]] | None = None) -> None:
        """Find out what the tokens are for; returns when all are known, however long it takes.

        ``then`` is awaited for each workspace as soon as it is known; none waits for another.
        Raises SettingsError if two tokens belong to one workspace.
        """
        tasks = [asyncio.create_task(self._sign_in(token, then)) for token in self._credentials.bot_tokens]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sign_in(self, token: str, then: Callable[[Team], Awaitable[None]] | None) -> None:
        api = self.client(token)
        wait_s = FIRST_RETRY_S
        while True:
            try:
                answer = await asked(api.auth_test())
                break
            except (LockedOut, Refused) as error:
                log.error("%s", error)
                wait_s = LAST_RETRY_S
            except DeliveryError as error:
                log.warning("signing in to Slack waits %.0f s: %s", wait_s, error)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_RETRY_S)
        me = Me(team=answer["team_id"], user=answer["user_id"], bot=answer.get("bot_id") or "", name=self._bot_name)
        if me.team in self._teams:
            raise SettingsError(f"SLACK_BOT_TOKEN holds two tokens of the workspace {answer['team']}. Remove one.")
        self._teams[me.team] = Team(me, api)
        self._unknown -= 1
        log.info("Slack knows the bot as @%s in the workspace %s", answer.get("user"), answer.get("team"))
        if then:
            await then(self._teams[me.team])

    def client(self, token: str | None = None) -> AsyncWebClient:
        """Return a client of the Web API. It repeats nothing by itself: what may be repeated, delivery knows."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return AsyncWebClient(
            token, base_url=self._credentials.api_url, timeout=TIMEOUT_S, session=self._session, retry_handlers=[]
        )

    @property
    def complete(self) -> bool:
        """Say whether the workspaces of all tokens are known."""
        return self._unknown == 0

    def known(self, team: str) -> Team | None:
        """Return a workspace, or None if no token is known to be for it."""
        return self._teams.get(team)

    def of(self, team: str) -> Team:
        """Return the workspace that something is to be sent to; raises DeliveryLater or DeliveryRefused."""
        found = self._teams.get(team)
        if found:
            return found
        if not self.complete:
            raise DeliveryLater("not signed in to Slack yet", FIRST_RETRY_S)
        raise DeliveryRefused(f"no token in SLACK_BOT_TOKEN is for the workspace {team}")

    async def names(self, team: Team, users: set[str]) -> dict[str, str]:
        """Return the display names of people, as far as Slack tells them in time."""
        now = time.monotonic()
        missing = [user for user in users if self._names.get((team.me.team, user), ("", 0.0))[1] < now]
        if missing:
            asking = {asyncio.create_task(self._look_up(team, user)) for user in missing[:AT_ONCE]}
            self._asking |= asking  # who takes longer is known for the next message
            for task in asking:
                task.add_done_callback(self._asking.discard)
            await asyncio.wait(asking, timeout=NAME_WAIT_S)
        found = {user: self._names.get((team.me.team, user), (None, 0.0))[0] for user in users}
        return {user: name for user, name in found.items() if name}

    async def _look_up(self, team: Team, user: str) -> None:
        place = (team.me.team, user)
        name, ttl_s = self._names.get(place, (None, 0.0))[0], float(NAMELESS_TTL_S)
        try:
            profile = await self._profile(team, user)
            name = profile.get("display_name") or profile.get("real_name") or profile.get("name")
            ttl_s = NAME_TTL_S if name else NAMELESS_TTL_S
        except DeliveryLater as error:
            ttl_s = error.retry_after_s
        except DeliveryError as error:
            log.debug("no name for %s: %s", user, error)
        self._names[place] = (name, time.monotonic() + ttl_s)
        self._names.move_to_end(place)
        while len(self._names) > NAMES:
            self._names.popitem(last=False)

    async def _profile(self, team: Team, user: str) -> dict[str, Any]:
        """Return what a person says of themselves; a short wait for it is waited."""
        while True:
            try:
                answer = await self.limits.asked(names(team.me.team), lambda: team.api.users_info(user=user))
                return {"name": answer["user"].get("name"), **(answer["user"].get("profile") or {})}
            except DeliveryLater as error:
                if error.retry_after_s >= NAME_WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
