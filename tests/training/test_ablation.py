"""The effect of reading the mood: hand-made trials, and the real path with a tiny chat model."""

import random
from collections.abc import Iterator

import pytest

from core.settings import Settings, load
from tests.workers.engine import tiny
from training.ablation import (
    Effect,
    Message,
    Trial,
    effect,
    groups,
    held_out_messages,
    interval,
    try_out,
    without_sentiment,
    without_tone,
)
from training.replies import Bot, Talk, converse

SAD, PLAIN, GLAD = (
    Message("my dog died and I feel so sad", "negative", "messages"),
    Message("what time is it in Oslo?", "neutral", "messages"),
    Message("I GOT THE JOB!!! so happy", "positive", "other"),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Settings:
    model = tiny.save_llama(tmp_path_factory.mktemp("model"), tiny.starter_tokenizer())
    conf = load()
    short = conf.generation.model_copy(update={"model": model, "device": "cpu", "max_new_tokens": 6})
    unchecked = conf.safety.model_copy(update={"check_replies": False})  # what it says is noise
    return conf.model_copy(update={"generation": short, "safety": unchecked})


@pytest.fixture(scope="module")
def bot(settings: Settings) -> Iterator[Bot]:
    with Bot(settings) as running:
        yield running


def trial(message: Message, on: list[str], off: list[str], feeling: str = "neutral") -> Trial:
    return Trial(message, feeling, on, off, off)


def test_effect_by_hand() -> None:
    trials = [
        trial(SAD, ["care", "joy"], ["joy", "matter-of-fact"]),  # 0.5 and 0
        trial(PLAIN, ["joy", "matter-of-fact"], ["care", "joy"]),  # 1 and 0.5
        trial(GLAD, ["care", "care"], ["joy", "care"]),  # 0 and 0.5
        trial(GLAD, ["joy", "joy"], ["joy", "joy"]),  # 1 and 1
    ]
    found = effect(trials, lambda reply: reply, lambda one: one.off)
    assert (found.messages, found.on, found.off, found.difference) == (4, 0.625, 0.5, 0.125)
    assert -0.5 <= found.low < 0.125 < found.high <= 0.5


def test_no_difference_has_no_interval() -> None:
    found = effect([trial(SAD, ["care"], ["care"])] * 5, lambda reply: reply, lambda one: one.off)
    assert found == Effect(5, 1.0, 1.0, 0.0, 0.0, 0.0)


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    dice = random.Random(1)
    held = 0
    for _ in range(200):
        low, high = interval([dice.gauss(0.3, 1) for _ in range(80)])
        held += low <= 0.3 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_groups_hold_every_trial_once_each_way() -> None:
    trials = [trial(SAD, [], [], "sad"), trial(PLAIN, [], []), trial(GLAD, [], [], "happy")]
    found = groups(trials)
    assert [len(found[f"meant {name}"]) for name in ("negative", "neutral", "positive")] == [1, 1, 1]
    assert found["felt sad"] == trials[:1]
    assert found["from messages"] == trials[:2]


def test_held_out_messages_are_of_all_sorts_and_there_once() -> None:
    messages = held_out_messages()
    texts = [one.text for one in messages]
    assert len(set(texts)) == len(texts) > 200
    assert {one.sentiment for one in messages} == {"negative", "neutral", "positive"}


def test_off_is_the_neutral_tone_whatever_is_felt(bot: Bot) -> None:
    off = without_sentiment(bot.settings)
    told = [bot.prompt(Talk(one.text), off) for one in (SAD, PLAIN, GLAD, Message("you idiot", "negative", ""))]
    neutral = bot.prompt(Talk(PLAIN.text), bot.settings)
    assert {prompt.tone for prompt in told} == {neutral.tone}  # type: ignore[union-attr]


def test_only_what_the_mood_changes_is_answered_twice(bot: Bot) -> None:
    seen: list[tuple[int, int]] = []
    sad, plain = try_out(bot, [SAD, PLAIN], 2, lambda now, of: seen.append((now, of)))
    assert (sad.feeling, plain.feeling) == ("sad", "neutral")
    assert len(sad.on) == len(sad.off) == len(sad.untold) == 2
    assert sad.on != sad.off
    assert plain.on == plain.off
    assert plain.untold not in (plain.on, sad.off)
    assert seen == [(step, 6) for step in range(1, 7)]


def test_told_no_tone_the_model_reads_no_line_of_tone(bot: Bot) -> None:
    prompt = bot.prompt(Talk(SAD.text), without_tone(bot.settings))
    ids = bot.engine._renderer.ids(prompt.messages, prompt.tone)  # type: ignore[union-attr]
    assert "<|tone|>" not in tiny.starter_tokenizer().decode(ids)


def test_the_same_seed_gives_the_same_replies(bot: Bot) -> None:
    talks = [Talk(one.text) for one in (SAD, PLAIN, GLAD)] * 7
    one, same, other = (
        [answer.reply.text for answer in bot.answer(talks[:n], seed)] for n, seed in ((21, 5), (12, 5), (21, 6))
    )
    assert same == one[:12]
    assert other != one


def test_a_crisis_gets_the_fixed_message(bot: Bot) -> None:
    ((first, second),) = converse(bot, [["I want to kill myself", "hello"]], 1, lambda now, of: None)
    assert first.reply.finish_reason == "safety"
    assert "helpline" in first.reply.text
    assert second.reply.finish_reason != "safety"


def test_a_conversation_goes_on_from_what_was_said(bot: Bot) -> None:
    talk = [["hello there", "thank you", "what is my name?"], ["hello there"]]
    answers = converse(bot, talk, 1, lambda now, of: None)
    assert [len(one) for one in answers] == [3, 1]
    history = tuple(turn for answer in answers[0][:2] for turn in answer.turns)
    prompt = bot.prompt(Talk("what is my name?", history), bot.settings)
    said = [message.content for message in prompt.messages]  # type: ignore[union-attr]
    assert said[-5:] == [
        "hello there", answers[0][0].reply.text, "thank you", answers[0][1].reply.text, "what is my name?"
    ]  # fmt: skip
