import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.safety import is_abuse
from core.safety.abuse import insults

ABUSE = (
    "you are an idiot",
    "You're so stupid!",
    "you suck",
    "u r useless",
    "stupid bot",
    "this bot is garbage",
    "fuck you",
    "f u",
    "FUCK OFF",
    "f\u200buck you",
    "fuсk you",  # with a Cyrillic letter
    "shut up",
    "just shut the fuck up",
    "STFU",
    "go to hell",
    "kill yourself",
    "kys",
    "I hate you",
    "you worthless piece of garbage",
    "what is wrong with you",
    "idiot",
    "how stupid can you be",
    "are you retarded?",
    "you dumb bot, answer me",
    "worst chatbot ever",
    "du bist so dumm",
    "halt die Fresse",
    "eres idiota",
    "vete a la mierda",
    "ta gueule",
    "tu es nul",
    "vai se foder",
    "você é burro",
)
NO_ABUSE = (
    "you are great",
    "you're not stupid",
    "I don't think you are useless",
    "I'm such an idiot",
    "my boss said you are useless",
    "he called me stupid",
    "my ex told me I hate you",
    "the film was stupid",
    "stupid printer",
    "this is a dumb question, but what is a kernel?",
    "useless use of cat",
    "kill yourself laughing",
    "I hate Mondays",
    "do you hate me?",
    "shut the door please",
    "where is the shut up shop sign",
    "the trash is full",
    "Crazy, Stupid, Love is a nice film",
    "Kung fu is fun",
    "my dog is an idiot and I love him",
    "you are a star",
    "Is it a joke?",
    "",
)


@pytest.mark.parametrize("text", ABUSE)
def test_abuse_is_known(text: str) -> None:
    assert is_abuse(text)


@pytest.mark.parametrize("text", NO_ABUSE)
def test_what_is_not_meant_for_the_bot_is_none(text: str) -> None:
    assert not is_abuse(text)


def test_a_reply_may_quote_what_was_said_but_not_say_it() -> None:
    assert insults("You are an idiot.")
    assert insults("Shut up.")
    assert not insults("At fifteen 'I hate you' often means 'I have no other words'.")
    assert not insults('"Stupid bot" is fair today. What went wrong?')


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert is_abuse(text) in (True, False)
