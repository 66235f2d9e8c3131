"""The manifest asks for what the adapter uses, no more and no less: the double refuses what it does not grant."""

import json

from channels.slack.manifest import EVENTS, SCOPES, manifest
from tests.channels.path import ChannelThread, Worker
from tests.channels.slack.seen import called, posted
from tests.platforms.slack import Slack
from tests.platforms.slack_rules import BY_KIND
from tests.platforms.slack_rules import EVENTS as TOLD
from tests.platforms.slack_rules import SCOPES as NEEDED

# For places that this test does not visit, but people do: their kind of conversation differs and nothing else.
ALIKE = {"groups:history", "mpim:history"}
PASSED_ON = {"commands", "app_mentions:read", "reactions:read"}


def test_the_bot_needs_no_more_than_the_manifest_asks_for(slack: Slack, channel: ChannelThread, worker: Worker) -> None:
    slack.granted, slack.subscribed = set(SCOPES), set(EVENTS)
    slack.say("hello")
    slack.say("hello all", place="group")
    post = posted(slack, "you said hello all")
    slack.press(post, "up")
    slack.react(post)
    slack.say("and on", place="thread", thread=post.thread)
    posted(slack, "you said and on")
    thread = posted(slack, "you said hello").id
    slack.say("in a thread", thread=thread)
    posted(slack, "you said in a thread")
    slack.open_messages()
    called(slack, "assistant.threads.setSuggestedPrompts")
    slack.slash("help")
    called(slack, "response_url")
    slack.fault("post", "late", times=2)
    slack.say("lost once")
    posted(slack, "you said lost once")
    slack.say("lost in a channel", place="group")
    posted(slack, "you said lost in a channel")
    called(slack, "conversations.replies")
    with worker.busy():
        slack.missing = {"assistant.threads.setStatus"}
        slack.say("eyes")
        called(slack, "reactions.add")
    posted(slack, "you said eyes")
    called(slack, "reactions.remove")

    assert not slack.refused_scopes
    used = {scope for call in slack.calls for scope in scopes_of(call.method, call.arguments)}
    assert set(SCOPES) - used <= ALIKE | PASSED_ON | {"im:read"}, "asked for, and not used"


def test_a_missing_scope_is_noticed_by_the_double(slack: Slack, channel: ChannelThread) -> None:
    slack.granted = set(SCOPES) - {"users:read"}
    slack.say("hello")
    posted(slack, "you said hello")

    assert slack.refused_scopes == {"users:read"}


def scopes_of(method: str, arguments: dict[str, object]) -> set[str]:
    kind = "im" if str(arguments.get("channel", "D")).startswith("D") else "channels"
    return {f"{kind}:{BY_KIND[method]}"} if method in BY_KIND else NEEDED.get(method, set())


def test_it_is_what_slack_takes() -> None:
    content = json.loads(manifest("Rapport"))

    assert content["display_information"]["name"] == "Rapport"
    assert content["settings"]["socket_mode_enabled"] is True
    assert content["features"]["agent_view"]["agent_description"]
    assert "assistant_view" not in content["features"]
    command = content["features"]["slash_commands"][0]
    assert command["command"] == "/rapport"
    assert command["should_escape"] is True
    assert "export" in command["usage_hint"]
    assert command["usage_hint"].endswith("for all to see")
    assert "in front of everybody" in command["description"]
    assert max(len(command["usage_hint"]), len(command["description"])) <= 100
    assert set(content["settings"]["event_subscriptions"]["bot_events"]) <= {name for name, _ in TOLD.values()}
    assert len(json.loads(manifest("N" * 60))["display_information"]["name"]) == 35


def test_with_a_public_address_slack_calls_the_web_channel() -> None:
    content = json.loads(manifest("Rapport", "https://bot.example.org/"))
    url = "https://bot.example.org/hooks/slack"

    assert content["settings"]["socket_mode_enabled"] is False
    assert content["settings"]["event_subscriptions"]["request_url"] == url
    assert content["settings"]["interactivity"]["request_url"] == url
    assert content["features"]["slash_commands"][0]["url"] == url


def test_every_event_that_is_asked_for_is_allowed() -> None:
    needed = dict(TOLD.values())

    assert {needed[event] for event in EVENTS} - {None} <= set(SCOPES)
