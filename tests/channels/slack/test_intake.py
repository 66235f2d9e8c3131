"""What people do in Slack, and what they get for it: over the real SDK, by Socket Mode."""

import threading
from collections.abc import Callable

import pytest

from channels.base import LONG_LINE
from core import settings
from core.dialogue import Address, Prompt
from core.events import MessageEvent
from core.store import Store
from tests.channels.path import ChannelThread, Worker
from tests.channels.slack.seen import called, calls, posted
from tests.platforms.slack import Slack
from tests.waiting import eventually

ADA = "slack:T0ONE:U0ONEADA"


@pytest.mark.usefixtures("channel")
def test_a_mention_is_answered_in_its_thread_and_the_thread_goes_on_without_mentions(slack: Slack) -> None:
    said = slack.say("hello", place="group")
    root = said.rpartition(":")[2]
    assert posted(slack, "you said hello").thread == root
    slack.say("and more", place="thread", thread=root, user="bob")
    assert posted(slack, "you said and more").thread == root


@pytest.mark.usefixtures("channel")
def test_other_threads_are_left_alone(slack: Slack) -> None:
    root = slack.say("who has lunch?", place="group", mention=False).rpartition(":")[2]
    slack.say("me", place="thread", thread=root)
    slack.say("<@U0ONEBOB> really?", place="thread", raw=True)
    slack.say("last one", place="thread")
    posted(slack, "you said last one")

    assert len(slack.posts) == 1


@pytest.mark.usefixtures("channel")
def test_a_mention_does_not_lose_what_was_attached_to_it(slack: Slack) -> None:
    slack.say("look", place="group", files=[{"mimetype": "image/png", "name": "cat.png"}], subtype="file_share")

    eventually(lambda: slack.posts and "[image" in slack.posts[0].text)


@pytest.mark.usefixtures("channel")
def test_a_mention_is_answered_where_the_bot_is_told_of_nothing_else(slack: Slack) -> None:
    slack.subscribed = {"app_mention"}
    slack.say("hello", place="group")

    posted(slack, "you said hello")


@pytest.mark.usefixtures("channel")
def test_edits_and_deletions_are_no_new_messages(slack: Slack) -> None:
    said = slack.say("hello")
    posted(slack, "you said hello")
    slack.edit(said, "goodbye")
    slack.delete(said)
    slack.say("still there?")
    posted(slack, "you said still there?")

    assert len(slack.posts) == 2


@pytest.mark.usefixtures("channel")
def test_people_are_called_by_their_names(slack: Slack) -> None:
    slack.home.user("bob")
    slack.say("ask <@U0ONEBOB> &amp; co", raw=True)

    posted(slack, "you said ask @Bob & co")


@pytest.mark.usefixtures("channel")
def test_what_a_person_says_stays_in_order_though_their_name_must_be_looked_up(
    slack: Slack, worker: Worker, store: Store
) -> None:
    slack.fault("users.info", "slow", wait_s=0.4)
    for number in range(5):
        slack.say(f"m{number}")
    eventually(lambda: len(slack.acknowledged) >= 5)
    eventually(lambda: "m4" in "".join(turn.text for turn in store.people.history(ADA)))

    said = " ".join(turn.text for turn in store.people.history(ADA) if turn.role == "user")
    assert said.split() == ["m0", "m1", "m2", "m3", "m4"]


@pytest.mark.usefixtures("channel")
def test_what_cannot_be_read_is_named(slack: Slack) -> None:
    voice = {
        "id": "F1",
        "name": "audio_message.m4a",
        "mimetype": "audio/mp4",
        "subtype": "slack_audio",
        "duration_ms": 1,
    }
    slack.say("listen", files=[voice | {"duration_ms": 11_800}], subtype="file_share")

    answer = eventually(lambda: slack.posts[0].text if slack.posts else "")
    assert "[voice note, 12 s]" in answer
    assert "I cannot listen to your voice note" in answer


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("place", ["direct", "group"])
def test_commands_are_answered_to_their_sender_alone(slack: Slack, place: str) -> None:
    assert slack.slash("mood", place=place) == {}  # type: ignore[arg-type]
    answer = eventually(lambda: slack.posts[0] if slack.posts else None)

    assert answer.ephemeral_for == slack.home.user("ada")
    assert "mood" in answer.text
    assert answer.space.endswith(slack.home.direct(slack.home.user("ada")).id if place == "direct" else "GENERAL")
    assert slack.feedback_buttons == 0


@pytest.mark.usefixtures("channel")
def test_help_tells_what_to_type_here(slack: Slack) -> None:
    slack.slash("")
    by_slash = eventually(lambda: slack.posts[0].text if slack.posts else "")
    slack.say("/help", place="group")
    by_mention = eventually(lambda: slack.posts[1].text if len(slack.posts) > 1 else "")

    assert "`/rapport export`" in by_slash
    assert "`/rapport export`" in by_mention


@pytest.mark.usefixtures("channel")
def test_other_words_after_the_command_are_said_in_front_of_all(slack: Slack) -> None:
    assert slack.slash("what a day", place="group") == {"text": "", "response_type": "in_channel"}
    post = posted(slack, "you said what a day")

    assert post.ephemeral_for is None
    assert post.extra["bot_id"] == slack.home.bot_id


@pytest.mark.usefixtures("channel")
def test_an_answer_in_front_of_all_is_found_again_after_a_doubt(slack: Slack) -> None:
    slack.fault("chat.postMessage", "late")
    slack.slash("what a day", place="group")
    posted(slack, "you said what a day")
    called(slack, "conversations.history")
    slack.slash("what a night", place="group")
    posted(slack, "you said what a night")

    assert len(slack.posts) == 2


@pytest.mark.usefixtures("channel")
def test_an_answer_for_one_alone_is_marked_when_it_may_be_there_already(slack: Slack) -> None:
    slack.fault("response_url", "late")
    slack.slash("new")
    eventually(lambda: len(slack.posts) == 2)

    assert slack.posts[1].text.endswith(slack.posts[0].text)
    remarks = [str(post.extra["blocks"][0]) for post in slack.posts]
    assert ["You may have this answer already." in remark for remark in remarks] == [False, True]


@pytest.mark.usefixtures("channel")
def test_an_answer_whose_blocks_slack_does_not_take_goes_out_as_text(slack: Slack) -> None:
    slack.fault("response_url", "refuse")
    slack.refuse_with = "invalid_blocks"
    slack.slash("mood")

    answer = eventually(lambda: slack.posts[0] if slack.posts else None)
    assert answer.ephemeral_for
    assert "blocks" not in answer.extra
    assert "mood" in answer.extra["text"]


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("word", ["expired_url", "used_url"])
def test_an_answer_that_comes_too_late_is_a_direct_message_and_can_be_rated(
    slack: Slack, store: Store, word: str
) -> None:
    slack.fault("response_url", "refuse")
    slack.refuse_with = word
    slack.slash("mood", place="group")

    answer = eventually(lambda: slack.posts[0] if slack.posts else None)
    assert answer.ephemeral_for is None
    assert eventually(lambda: store.notes("slack").get(f"reply:{answer.space}:{answer.id}"))


@pytest.mark.usefixtures("channel")
def test_where_the_bot_is_no_member_the_command_brings_the_answer(slack: Slack) -> None:
    slack.home.channel("elsewhere").bot_is_in = False
    slack.slash("what a day", place="group", channel="elsewhere")

    assert posted(slack, "you said what a day").ephemeral_for is None


@pytest.mark.usefixtures("channel")
def test_an_export_that_is_longer_than_the_command_can_carry_goes_on_in_private(
    slack: Slack, worker: Worker, store: Store
) -> None:
    worker.script = lambda prompt, on_text, cancelled: "word " * 2400
    for number in range(8):
        slack.say(f"message {number}")
        eventually(lambda number=number: len(store.people.history(ADA)) == 2 * (number + 1))  # type: ignore[misc]
    eventually(lambda: len(slack.posts) == 8)
    slack.slash("export", place="group")
    answers = eventually(lambda: found if len(found := slack.posts[8:]) > 7 else [])

    assert [post.ephemeral_for for post in answers[:5]] == [slack.home.user("ada")] * 5
    assert all(post.space.endswith(slack.home.direct(slack.home.user("ada")).id) for post in answers[5:])


@pytest.mark.usefixtures("channel")
def test_an_expired_command_is_answered_in_private(slack: Slack, worker: Worker) -> None:
    with worker.busy():
        slack.slash("mood", place="group")
        slack.doors.expire_urls()
    answer = eventually(lambda: slack.posts[0] if slack.posts else None)

    assert answer.space.endswith(slack.home.direct(slack.home.user("ada")).id)


@pytest.mark.usefixtures("channel")
def test_a_rating_is_kept_and_thanked_for(slack: Slack, store: Store) -> None:
    slack.say("hello", place="group")
    post = posted(slack, "you said hello")
    slack.press(post, "down", user="bob")
    slack.press(post, "up")

    thanks = eventually(lambda: found if len(found := [p for p in slack.posts if p.ephemeral_for]) == 2 else [])
    assert [one.ephemeral_for for one in thanks] == [slack.home.user("bob"), slack.home.user("ada")]
    assert {one.thread for one in thanks} == {post.thread}
    assert store.people.history(ADA)[-1].rated == "up"


@pytest.mark.usefixtures("channel")
def test_thumbs_rate_and_can_be_taken_back(slack: Slack, store: Store) -> None:
    slack.say("hello")
    post = posted(slack, "you said hello")
    slack.react(post, "-1::skin-tone-4")
    eventually(lambda: store.people.history(ADA)[-1].rated == "down")
    slack.react(post, "heart")
    slack.react(post, "-1::skin-tone-4", back=True)
    eventually(lambda: store.people.history(ADA)[-1].rated is None)


@pytest.mark.usefixtures("channel")
def test_an_assistant_thread_has_prompts_a_title_and_a_status(slack: Slack, worker: Worker) -> None:
    thread = slack.open_assistant()
    assert called(slack, "assistant.threads.setSuggestedPrompts")[0]["thread_ts"] == thread
    with worker.busy():
        slack.say("Can we talk about my day?", thread=thread)
        direct = slack.home.direct(slack.home.user("ada")).id
        eventually(lambda: slack.statuses.get((direct, thread)) == "is thinking...")
    assert posted(slack, "you said Can we talk about my day?").thread == thread
    slack.say("It was long.", thread=thread)
    posted(slack, "you said It was long.")

    assert slack.titles == {(direct, thread): "Can we talk about my day?"}
    assert not slack.statuses


@pytest.mark.usefixtures("channel")
def test_who_waits_in_a_long_line_is_told_their_number(slack: Slack, worker: Worker, store: Store) -> None:
    thread = slack.open_assistant()
    direct = slack.home.direct(slack.home.user("ada")).id
    with worker.busy():
        for number in range(LONG_LINE):
            others = Address(channel="x", space="s")
            store.inbox.accept(MessageEvent(id=f"e{number}", address=others, user=f"u{number}", text="hi"))
        slack.say("Is anybody there?", thread=thread)
        eventually(lambda: slack.statuses.get((direct, thread)) == f"is busy, you are number {LONG_LINE + 1}...")
    posted(slack, "you said Is anybody there?")


@pytest.mark.usefixtures("channel")
def test_who_opens_the_conversation_gets_prompts_once_a_day(slack: Slack) -> None:
    slack.open_messages()
    called(slack, "assistant.threads.setSuggestedPrompts")
    slack.open_messages()
    slack.say("hello")
    posted(slack, "you said hello")

    assert "thread_ts" not in slack.prompts[0]
    assert len(slack.prompts) == 1


def test_where_no_status_can_be_shown_there_are_eyes_until_the_answer(
    slack: Slack, channel: ChannelThread, worker: Worker
) -> None:
    slack.missing = {"assistant.threads.setStatus"}
    with worker.busy():
        said = slack.say("hello", place="group")
        eventually(lambda: slack.signs)
        message = slack.home.channel().messages[said.rpartition(":")[2]]
        assert message.reactions == {"eyes": [slack.home.bot_user]}
    posted(slack, "you said hello")
    eventually(lambda: message.reactions == {"eyes": []})
    slack.say("again", place="group")
    posted(slack, "you said again")

    assert len(calls(slack, "assistant.threads.setStatus")) == 1


@pytest.mark.usefixtures("channel")
@pytest.mark.parametrize("place", ["direct", "group"])
def test_a_message_that_cannot_be_taken_is_explained_once(slack: Slack, place: str) -> None:
    said = slack.say("x" * (settings.load().inbox.max_chars + 1), place=place)  # type: ignore[arg-type]
    post = eventually(lambda: slack.posts[0] if slack.posts else None)
    slack.redeliver(said)
    slack.say("short", place=place)  # type: ignore[arg-type]
    posted(slack, "you said short")

    assert "I can take" in post.text
    assert post.ephemeral_for == (None if place == "direct" else slack.home.user("ada"))
    assert len(slack.posts) == 2
    assert not slack.given_up


@pytest.mark.usefixtures("channel")
def test_stop_ends_a_reply_that_is_being_streamed(slack: Slack, worker: Worker) -> None:
    def endless(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("I could go on ")
        cancelled.wait(20)
        return "I could go on"

    worker.script = endless
    slack.say("tell me everything", place="group")
    posted(slack, "I could go on")
    slack.slash("stop", place="group")

    eventually(lambda: any(post.ephemeral_for and "stopped" in post.text for post in slack.posts), timeout_s=10)


@pytest.mark.usefixtures("channel")
def test_whoever_presses_a_suggested_prompt_is_answered(slack: Slack) -> None:
    slack.open_messages()
    prompts = called(slack, "assistant.threads.setSuggestedPrompts")[0]["prompts"]
    assert isinstance(prompts, list)
    assert not [prompt for prompt in prompts if prompt["message"].startswith("/")]
    slack.say(prompts[-1]["message"])

    eventually(lambda: slack.posts and "I also know these commands" in slack.posts[-1].text)
