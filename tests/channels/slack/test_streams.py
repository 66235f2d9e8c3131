"""Replies that are shown while they are written, and everything that can end a stream too early."""

import threading
from collections.abc import Callable

import pytest

from channels.delivery import Message
from channels.slack import limits
from channels.slack.messages import Messages
from core.dialogue import Address, Prompt
from core.store import Store
from tests.channels.path import ChannelThread, Worker
from tests.channels.slack.seen import called, calls, posted
from tests.platforms.base import Place
from tests.platforms.slack import Slack
from tests.waiting import eventually

WORDS = [f"word{letter}.\n" for letter in "abcdefghijklmnopqrstuvwxy"]  # no digits: drafts hold these back
WHOLE = "".join(WORDS).strip()
PART_OF_IT = 3


def written(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    for count in range(1, len(WORDS)):
        on_text("".join(WORDS[:count]))
        cancelled.wait(0.05)
    return WHOLE


@pytest.fixture(autouse=True)
def _writes(worker: Worker) -> None:
    worker.script = written


@pytest.mark.usefixtures("channel")
def test_a_reply_in_a_thread_is_streamed_to_who_asked(slack: Slack) -> None:
    slack.say("go on", place="group", user="bob")
    post = posted(slack, WHOLE)

    begun = calls(slack, "chat.startStream")
    ended = called(slack, "chat.stopStream")
    assert len(begun) == len(ended) == 1
    assert begun[0]["recipient_user_id"] == slack.home.user("bob")
    assert begun[0]["recipient_team_id"] == "T0ONE"
    assert len(post.texts) > PART_OF_IT
    assert all(later.startswith(earlier) for earlier, later in zip(post.texts, post.texts[1:], strict=False))
    assert slack.feedback_buttons == 1
    assert not calls(slack, "chat.postMessage")


@pytest.mark.usefixtures("channel")
def test_outside_of_a_thread_the_message_is_edited(slack: Slack) -> None:
    slack.say("go on")
    post = posted(slack, WHOLE)

    assert len(post.texts) > 1
    assert calls(slack, "chat.update")
    assert not calls(slack, "chat.startStream")


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize("kind", ["error", "drop", "late", "flood"])
def test_whatever_happens_to_a_stream_the_reply_is_there_once(slack: Slack, method: str, kind: str) -> None:
    slack.fault(method, kind, wait_s=0.5)  # type: ignore[arg-type]
    slack.say("go on", place="group")
    posted(slack, WHOLE)
    slack.say("and on", place="group")
    eventually(lambda: [post.text for post in slack.posts].count(WHOLE) == 2)

    assert len(slack.posts) == 2


@pytest.mark.usefixtures("channel")
def test_a_workspace_without_streams_is_asked_once(slack: Slack) -> None:
    slack.missing = {"chat.startStream"}
    slack.say("go on", place="group")
    post = posted(slack, WHOLE)
    slack.say("and on", place="group")
    eventually(lambda: [post.text for post in slack.posts].count(WHOLE) == 2)

    assert len(calls(slack, "chat.startStream")) == 1
    assert len(post.texts) > 1, "it is edited instead"


@pytest.mark.usefixtures("channel")
def test_a_stream_that_slack_closed_is_finished_by_an_edit(slack: Slack) -> None:
    slack.stream_life_s = 0.5
    slack.say("go on", place="group")
    post = posted(slack, WHOLE)

    assert len(slack.posts) == 1
    assert [update["ts"] for update in called(slack, "chat.update")] == [post.id]
    assert slack.feedback_buttons == 1


@pytest.mark.usefixtures("channel")
def test_a_stream_that_the_reader_stopped_still_becomes_the_reply(slack: Slack) -> None:
    slack.say("go on", place="group")
    post = eventually(lambda: next((post for post in slack.posts if len(post.texts) > 1), None))
    slack.home.channel().messages[post.id].stopped_by_user = True
    slack.home.channel().messages[post.id].streaming = False

    assert posted(slack, WHOLE).id == post.id


@pytest.mark.usefixtures("channel")
def test_a_reply_that_differs_from_its_drafts_replaces_them(slack: Slack, worker: Worker) -> None:
    def changed_its_mind(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("I think so.\n")
        eventually(lambda: slack.posts)
        return "On second thought, no."

    worker.script = changed_its_mind
    slack.say("well?", place="group")
    posted(slack, "On second thought, no.")

    assert len(slack.posts) == 1


@pytest.mark.usefixtures("channel")
def test_a_streamed_message_that_someone_deleted_is_posted_again(slack: Slack) -> None:
    slack.say("go on", place="group")
    post = eventually(lambda: next((post for post in slack.posts if len(post.texts) > 1), None))
    del slack.home.channel().messages[post.id]

    assert posted(slack, WHOLE).id != post.id


def test_two_people_in_one_thread_get_an_answer_each_though_streams_broke_off(
    slack: Slack, channel: ChannelThread, worker: Worker
) -> None:
    def own_words(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        said = prompt.messages[-1].content
        for word in WORDS:
            on_text(f"{said}: {word}")
            cancelled.wait(0.03)
        return f"{said}: done"

    worker.script = own_words
    slack.fault("chat.startStream", "late", times=2)
    slack.say("I am Ada", place="thread", user="ada")
    slack.say("I am Bob", place="thread", user="bob")
    posted(slack, "I am Ada: done")
    posted(slack, "I am Bob: done")

    assert len(slack.posts) == 2


RUSSIAN = "Привет, как дела?\n" * 200


def long_in_russian(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
    for length in range(400, len(RUSSIAN), 400):
        on_text(RUSSIAN[:length])
        cancelled.wait(0.05)
    return RUSSIAN


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("place", ["direct", "group"])
def test_a_long_reply_of_wide_letters_is_edited_to_its_end(slack: Slack, worker: Worker, place: Place) -> None:
    worker.script = long_in_russian
    slack.missing = {"chat.startStream"}
    slack.say("go on", place=place)
    eventually(lambda: slack.posts and slack.posts[0].text.strip() == RUSSIAN.strip())

    assert len(slack.posts) == 1
    assert len(slack.posts[0].texts) > 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("code", ["msg_too_long", "invalid_blocks", "invalid_arguments"])
def test_a_message_that_cannot_be_edited_is_posted_anew(slack: Slack, worker: Worker, code: str) -> None:
    def refused_at_the_end(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("Let me see.\n")
        eventually(lambda: slack.posts)
        slack.refuse_with = code
        slack.fault("chat.update", "refuse", times=10)
        return RUSSIAN

    worker.script = refused_at_the_end
    slack.say("go on")
    eventually(lambda: slack.posts and slack.posts[-1].text.strip() == RUSSIAN.strip())

    assert [post.deleted for post in slack.posts] == [True, False]


def told_in_two(slack: Slack) -> Callable[[Prompt, Callable[[str], None], threading.Event], str]:
    def write(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("I begin.\n")
        eventually(lambda: any(post.text.strip() == "I begin." for post in slack.posts))
        return "I begin.\nI end."

    return write


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long", "unknown_method", "feature_not_enabled"])
def test_a_stream_that_may_not_end_with_its_text_still_becomes_the_reply(
    slack: Slack, worker: Worker, code: str, times: int
) -> None:
    worker.script = told_in_two(slack)
    slack.fault("chat.stopStream", "refuse", times=times)
    slack.refuse_with = code
    slack.say("go on", place="group")
    posted(slack, "I begin.\nI end.")

    assert len([post for post in slack.posts if not post.deleted]) == 1


@pytest.mark.usefixtures("channel")
def test_a_stream_that_can_neither_end_nor_be_edited_is_posted_anew(slack: Slack, worker: Worker) -> None:
    worker.script = told_in_two(slack)
    slack.missing = {"chat.stopStream"}
    slack.say("go on", place="group")
    posted(slack, "I begin.\nI end.")

    assert [post.deleted for post in slack.posts] == [True, False]


@pytest.mark.usefixtures("channel")
def test_a_place_without_streams_and_status_takes_them_from_no_other(slack: Slack, worker: Worker) -> None:
    in_two, signed_in = told_in_two(slack), set[str]()

    def write(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        # Text that is there at once leaves a status out.
        eventually(lambda: signed_in <= {call["thread_ts"] for call in calls(slack, "assistant.threads.setStatus")})
        return in_two(prompt, on_text, cancelled)

    worker.script = write
    slack.refuse_with = "channel_type_not_supported"
    slack.fault("chat.startStream", "refuse")
    slack.fault("assistant.threads.setStatus", "refuse")
    slack.say("go on", place="group")
    posted(slack, "I begin.\nI end.")
    root = slack.open_assistant(user="bob")
    signed_in.add(root)
    slack.say("go on", user="bob", thread=root)
    eventually(lambda: [post.text for post in slack.posts].count("I begin.\nI end.") == 2)
    slack.say("and on", place="group")
    eventually(lambda: [post.text for post in slack.posts].count("I begin.\nI end.") == 3)

    asked_in = {str(call["thread_ts"]) for call in calls(slack, "chat.startStream")}
    assert root in asked_in
    assert len(asked_in) == len(calls(slack, "chat.startStream")) == 2


@pytest.mark.usefixtures("channel")
def test_what_a_draft_showed_too_much_is_ended_before_it_is_deleted(slack: Slack, worker: Worker) -> None:
    def cut_short(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("One two three four.\n" * 800)
        eventually(lambda: len(slack.posts) == 2)
        return "Never mind."

    worker.script = cut_short
    slack.say("go on", place="group")
    posted(slack, "Never mind.")
    extra = eventually(lambda: next((post for post in slack.posts if post.deleted), None))

    assert extra.id in [call["ts"] for call in calls(slack, "chat.stopStream")]


def test_no_more_messages_are_begun_than_can_be_edited_into_their_replies(store: Store) -> None:
    network = Messages(None, store.notes("slack"), None)  # type: ignore[arg-type]
    pace = store.pace("slack")

    def begin(number: int) -> bool:
        address = Address(channel="slack", space=f"T0ONE/D{number}", direct=True)
        draft = Message(address, f"reply{number}", 0, "text", "text", final=False, last=False, in_reply_to=("e",))
        return not pace.take(network.budget(draft, editing=False), spare=1)

    begun = sum(begin(number) for number in range(30))

    update = limits.bucket("update", "T0ONE", limits.TIER_3, 10)
    assert 0 < begun < update.burst
    assert not pace.take([update]), "the edit that ends one of them has its place"
