"""Rendering: the three kinds, and that nothing a person types becomes a control token or a role."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from core.dialogue import Tone
from tests.workers.engine import tiny
from tests.workers.engine.tiny import PLAIN, prompt
from workers.engine.prompting import NOTE_OPEN, PersonaRenderer, TemplateRenderer

STARTER, CHATML, STRICT = tiny.starter_tokenizer(), tiny.chatml_tokenizer(), tiny.strict_tokenizer()
RENDERERS = {id(tok): TemplateRenderer(tok) for tok in (STARTER, CHATML, STRICT)}
FRAGMENTS = [
    "<|end|>", "<|user|>", "<|assistant|>", "<|tone|>", "<|begin|>", "<|im_start|>", "<|im_end|>", "<|im_start|>system",
    "[INST]", "[/INST]", "</s>", "<s>", NOTE_OPEN, "<|", "|>", "end", "user|>", "im_start|>", "<", "|", ">", "[", "]",
    "INST", "/", "s", " ", "\n", "\u200b", "assistant", "cheerful", "hello", "你好", "😡",
]  # fmt: skip
HOSTILE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), max_size=12).map("".join)
MARKERS = {
    id(STARTER): ["<|end|>", "<|user|>", "<|assistant|>", "<|tone|>", "<|begin|>"],
    id(CHATML): ["<|im_start|>", "<|im_end|>", NOTE_OPEN],
    id(STRICT): ["[INST]", "[/INST]", "<s>", "</s>", NOTE_OPEN],
}


def rendered(tok: PreTrainedTokenizerFast, *texts: str, system: str | None = None, tone: Tone = PLAIN) -> str:
    asked = prompt(*texts, system=system, tone=tone)
    return str(tok.decode(RENDERERS[id(tok)].ids(asked.messages, asked.tone)))


def test_starter_template_gets_the_tones() -> None:
    text = rendered(STARTER, "hi", "hello", "how are you", tone=Tone(name="calm", guidance="unused"))
    assert text == (
        "<|begin|><|user|>hi<|end|><|tone|>warm<|assistant|>hello<|end|>"
        "<|user|>how are you<|end|><|tone|>calm<|assistant|>"
    )


def test_other_templates_get_a_note_with_the_last_turn() -> None:
    tone = Tone(name="calm", guidance="Stay calm.")
    text = rendered(CHATML, "hi", "hello", "how are you", system="You are Rapport.", tone=tone)
    assert text == (
        "<|im_start|>system\nYou are Rapport.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nhello<|im_end|>\n"
        f"<|im_start|>user\nhow are you\n\n{NOTE_OPEN} Stay calm.]<|im_end|>\n<|im_start|>assistant\n"
    )


def test_prompt_grows_by_appending() -> None:
    one = rendered(CHATML, "hi", system="You are Rapport.")
    two = rendered(CHATML, "hi", "hello", "and now?", system="You are Rapport.")
    assert two.startswith(one.split("\n\n" + NOTE_OPEN)[0])


def test_template_without_system_gets_it_with_the_first_turn() -> None:
    text = rendered(STRICT, "hi", "hello", "bye", system="You are Rapport.")
    assert text == f"<s>[INST] You are Rapport.\n\nhi [/INST]hello</s>[INST] bye\n\n{NOTE_OPEN} Be plain.] [/INST]"


def test_strict_template_takes_a_history_that_starts_with_a_reply() -> None:
    messages = prompt("x", "a reply", "one", "two", "three").messages[1:]
    text = str(STRICT.decode(RENDERERS[id(STRICT)].ids(messages, PLAIN)))
    assert text.startswith("<s>[INST] one [/INST]two</s>[INST] three")


def test_blenderbot_keeps_the_persona_and_the_last_turns() -> None:
    tok = tiny.tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    renderer = PersonaRenderer(tok, 240)
    asked = prompt("first " * 80, "second", "what  is\nmy name?", system="You are Rapport. Keep replies short.")
    ids = renderer.ids(asked.messages, asked.tone)
    assert tok.decode(ids) == (
        " your persona: my tone is plain.  your persona: I am Rapport.  second  what is my name?</s>"
    )
    assert len(ids) == renderer.count(asked.messages, asked.tone) <= 240


def test_blenderbot_cuts_a_single_long_turn_from_its_beginning() -> None:
    tok = tiny.tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    asked = prompt("beginning " + "word " * 100 + "the end")
    ids = PersonaRenderer(tok, 64).ids(asked.messages, asked.tone)
    assert len(ids) == 64
    assert str(tok.decode(ids)).endswith("the end</s>")


@pytest.mark.parametrize("tok", [STARTER, CHATML, STRICT], ids=["starter", "chatml", "strict"])
@settings(deadline=None, max_examples=150)
@given(first=HOSTILE, reply=HOSTILE, last=HOSTILE)
def test_no_content_becomes_control(tok: PreTrainedTokenizerFast, first: str, reply: str, last: str) -> None:
    harmless = rendered(tok, "x", "x", "x")
    hostile = rendered(tok, first, reply, last)
    for marker in MARKERS[id(tok)]:
        assert hostile.count(marker) == harmless.count(marker)


@settings(deadline=None, max_examples=100)
@given(text=HOSTILE)
def test_no_content_becomes_control_for_blenderbot(text: str) -> None:
    tok = tiny.tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    ids = PersonaRenderer(tok, 64).ids(prompt(text).messages, PLAIN)
    assert [token for token in ids if token in tok.all_special_ids] == [tok.eos_token_id]


@pytest.mark.parametrize("text", ["2 < 3 and 5 > 4", "a | b", "[see] {this}", "I <3 you", "# heading", "naïve 😀 你好"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    for renderer in RENDERERS.values():
        assert renderer.defuse(text) == text


def test_a_marker_stays_readable() -> None:
    assert RENDERERS[id(STARTER)].defuse("what does <|end|> mean?") == "what does < |end|> mean?"
