"""The planted-secrets matrix: each person plants a secret in each of their places, then asks in each of them.

The store, the runtime and the responder are the real ones. The model is the worst there could be: it records all it is
told and says all of it again. With ``-s`` the table is printed. Accounts cannot be linked yet, so there are no linked
ones here: who is on two networks is two persons.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch

from core import settings
from core.dialogue import Address, Prompt
from core.events import MessageEvent, Reply, reply_of
from core.sections import Generation
from core.settings import Settings
from core.store import Store, keys
from tests.channels.path import same
from tests.workers.engine import tiny
from tests.workers.scripted import models
from workers.engine.chat import ChatEngine
from workers.engine.loading import LoadedChat
from workers.engine.prompting import TemplateRenderer
from workers.runtime import Runtime

SECRET = re.compile(r"codeword-\d+-x")
# Channel, workspace, users. The same user id in two workspaces, on two networks and on the page is another person.
HOMES = [
    ("slack", "T1", ("U1", "U2", "U3")),
    ("slack", "T2", ("U1", "U2")),
    ("telegram", "-", ("1", "2", "3")),
    ("discord", "-", ("1", "2", "3")),
    ("web", "api", ("U1", "1")),
    ("web", "page", ("U1", "1")),
    ("terminal", "host", ("1",)),
]


@dataclass(frozen=True)
class Place:
    """One place of one person; ``kind`` is direct, group, other group or thread."""

    kind: str
    address: Address
    user: str
    workspace: str

    @property
    def person(self) -> str:
        return f"{self.address.channel}:{self.workspace}:{self.user}"

    def may_know(self, planted: "Place") -> bool:
        """Their own words: all of them where nobody else reads, else those from the very same place."""
        if self.person != planted.person:
            return False
        there, here = planted.address, self.address
        return here.direct or (not there.direct and there.space == here.space)


def places() -> Iterator[Place]:
    for channel, workspace, users in HOMES:
        team = f"{workspace}/" if channel == "slack" else ""
        for user in users:
            yield Place("direct", Address(channel=channel, space=f"{team}D{user}"), user, workspace)
            if channel in ("web", "terminal"):
                continue
            for kind, space, thread in (("group", "C1", None), ("other group", "C2", None), ("thread", "C1", "t1")):
                # A thread of Discord is a channel of its own.
                name = f"{team}C9" if (channel, kind) == ("discord", "thread") else f"{team}{space}"
                yield Place(kind, Address(channel=channel, space=name, thread=thread, direct=False), user, workspace)


@dataclass
class World:
    """All places, the secret that was planted in each, and a worker that answers."""

    store: Store
    runtime: Runtime
    prompts: list[Prompt]
    planted: dict[str, Place] = field(default_factory=dict)
    said: int = 0

    def say(self, place: Place, text: str) -> tuple[list[Prompt], Reply]:
        """Say something there; return the prompts that the model saw and the reply that goes out."""
        self.said += 1
        event = MessageEvent(
            id=f"e{self.said}", address=place.address, user=place.user, workspace=place.workspace, text=text
        )
        before = len(self.prompts)
        assert self.store.inbox.accept(event) == "accepted"
        self.runtime.drain(place.person)
        entries = self.store.redis.xrevrange(keys.outbox(place.address.channel), count=1)
        reply = reply_of(entries[0][1]["reply"])
        assert reply
        assert (reply.address, reply.person) == (place.address, place.person)
        return self.prompts[before:], reply

    def leaks(self, place: Place, text: str) -> list[str]:
        """Return the kinds of leaks in what was seen there: whose secret, from where."""
        found = (self.planted[secret] for secret in SECRET.findall(text) if not place.may_know(self.planted[secret]))
        return [f"{one.kind} of {'the same' if one.person == place.person else 'another'} person" for one in found]


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    base = settings.load()
    # Replies are made of what was said, and nobody waits here for a limit to pass.
    conf: Settings = base.model_copy(
        update={
            "safety": base.safety.model_copy(update={"check_replies": False}),
            "inbox": base.inbox.model_copy(update={"person_per_minute": 0}),
        }
    )
    prompts: list[Prompt] = []

    def tell_all(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        prompts.append(prompt)
        return " ".join(message.content for message in prompt.messages if message.role != "system")

    store = Store(redis_url, conf, same)
    runtime = Runtime(conf, store, models(tell_all), "w1")
    yield World(store, runtime, prompts)
    runtime.close()


def plant(world: World) -> list[Place]:
    all_places = list(places())
    for number, place in enumerate(all_places):
        secret = f"codeword-{number}-x"
        world.planted[secret] = place
        world.say(place, f"{secret} is mine")
    return all_places


def test_no_secret_is_seen_where_it_was_not_told(world: World) -> None:
    all_places = plant(world)
    asked, leaks, known = Counter[str](), Counter[str](), Counter[str]()
    # Twice, as what the bot has said in private must not come out through its own words either.
    for _ in range(2):
        for place in all_places:
            prompts, reply = world.say(place, "what do you know about all of us?")
            (prompt,) = prompts
            own = {secret for secret, planted in world.planted.items() if place.may_know(planted)}
            for what, seen in (("prompt", prompt.model_dump_json()), ("reply", reply.text)):
                asked[f"{place.kind}, {what}"] += len(world.planted)
                leaks[f"{place.kind}, {what}"] += len(world.leaks(place, seen))
                known[f"{place.kind}, {what}"] += len(own & set(SECRET.findall(seen)))
            assert own <= set(SECRET.findall(prompt.model_dump_json())), "what one told in this place is known there"
    exported = 0
    for place in all_places:
        for command in ("/export", "/mood", "/help"):
            prompts, reply = world.say(place, command)
            assert prompts == []
            what = f"{place.kind}, {command}"
            asked[what] += len(world.planted)
            leaks[what] += len(world.leaks(place, reply.text))
            known[what] += len(set(SECRET.findall(reply.text)))
            assert place.kind == "direct" or not SECRET.search(reply.text), "in front of others nothing is handed out"
            exported += command == "/export" and bool(SECRET.search(reply.text))
    persons = {place.person for place in all_places}
    assert exported == len(persons), "and to each their own"
    print(f"\n{len(persons)} persons, {len(all_places)} places with a secret each, {world.said} messages")
    print(f"{'asked in, looked at':<24}{'pairs':>8}{'own known':>11}{'leaks':>7}")
    for what in asked:
        print(f"{what:<24}{asked[what]:>8}{known[what]:>11}{leaks[what]:>7}")
    print(f"{'all':<24}{sum(asked.values()):>8}{sum(known.values()):>11}{sum(leaks.values()):>7}")
    assert sum(leaks.values()) == 0, leaks


def test_what_one_forgets_is_nowhere_and_what_others_said_stays(world: World) -> None:
    all_places = plant(world)
    gone = "slack:T1:U1"
    here = next(place for place in all_places if place.person == gone)
    world.say(here, "/forget")
    for place in all_places:
        (prompt,), _ = world.say(place, "what do you know?")
        mine = {secret for secret, planted in world.planted.items() if place.may_know(planted)}
        found = set(SECRET.findall(prompt.model_dump_json()))
        assert found == (set() if place.person == gone else mine)
    kept = [world.store.redis.lrange(key, 0, -1) for key in world.store.redis.keys("rapport:history:*")]
    secrets = {secret for secret, place in world.planted.items() if place.person == gone}
    assert not secrets & set(SECRET.findall(str(kept)))


def test_the_engine_keeps_conversations_apart(world: World) -> None:
    """Prefixes are read once and used again: what stands in the memory of a slot is in no other reply."""
    for place in plant(world)[:20]:
        world.say(place, "what do you know?")
    tok = tiny.starter_tokenizer()
    chat = LoadedChat(tiny.llama(tok, context=1024), tok, torch.device("cpu"), encoder_decoder=False)
    conf = Generation(device="cpu", temperature=0, repetition_penalty=1, max_new_tokens=8, batch=4, queue=500)
    engine = ChatEngine(chat, conf)
    try:
        prompts = [prompt for prompt in world.prompts if engine.count_tokens(prompt.messages, prompt.tone) < 900]
        running = [engine.submit(prompt, None, str(at)) for at, prompt in enumerate(prompts)]
        done = [one.result(120) for one in running]
        together = [one.text for one in done]
        alone = [_alone(chat, prompt) for prompt in prompts]
    finally:
        engine.close()
    reused = sum(bool(one.reused_tokens) for one in done)
    print(f"\n{len(prompts)} prompts, {reused} on a prefix that was there, differing: {_differing(together, alone)}")
    assert reused, "else nothing was shown"
    assert len(set(alone)) > len(alone) // 2, "each prompt has a reply of its own"
    assert together == alone


def _differing(some: list[str], others: list[str]) -> int:
    return sum(one != other for one, other in zip(some, others, strict=True))


def _alone(chat: LoadedChat, prompt: Prompt) -> str:
    """Return what plain ``generate`` writes."""
    ids = torch.tensor([TemplateRenderer(chat.tokenizer).ids(prompt.messages, prompt.tone)])
    with torch.inference_mode():
        out = chat.model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0
        )
    return str(chat.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()
