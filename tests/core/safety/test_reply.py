"""What may not be sent, in every disguise, and the harmless words that look like it."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.safety import ReplyCheck

CHECK = ReplyCheck(())
SAID = ReplyCheck(["I'm ada@mail.org, +44 20 7946 0018, @ada_l, card 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00"])


@pytest.mark.parametrize(
    "text",
    [
        "What a faggot.",
        "those faggots",
        "a FAGGOT",
        "f4gg0t",
        "f@ggot",
        "fa\u200bgg\u00adot",
        "f a g g o t",
        "f.a.g.g.o.t",
        "f-a-g-g-o-t, you know",
        "fagggggot",
        "fаggоt",  # with Cyrillic letters
        "fággöt",
        "fag-got",
        "**faggot**",
        "a retard",
        "there is a chink here",
        "du Schwuchtel",
    ],
)
def test_slurs_are_found_in_every_disguise(text: str) -> None:
    assert CHECK.fault(text) == "slur"


@pytest.mark.parametrize(
    "text",
    [
        "I'm so horny",
        "send nudes",
        "watch p0rn with me",
        "I want to have sex with you",
        "take off your clothes",
        "b l o w j o b",
    ],
)
def test_sexual_content_is_found(text: str) -> None:
    assert CHECK.fault(text) == "sexual"


@pytest.mark.parametrize("text", ["You are an idiot.", "Shut up.", "Just kill yourself.", "I hate you"])
def test_insults_are_found(text: str) -> None:
    assert CHECK.fault(text) == "insult"


@pytest.mark.parametrize(
    "text",
    [
        "I grew up in Scunthorpe, near Penistone and Cockermouth.",
        "Charles Dickens and Alfred Hitchcock had cocktails with the Hancocks.",
        "Essex, Sussex and Middlesex are counties.",
        "The analyst will document the cumulative assessment of the basement.",
        "Therapist, specialist, classic, grass, bass, title, constitution.",
        "A snigger is not a niggardly remark; Niger and Nigeria are countries.",
        "Montenegro is lovely, and so is Rio Negro.",
        "The raccoon and the tycoon played bassoon in a cocoon.",
        "Flame retardant, and a growth that is retarded growth.",
        "A chink in the armour; the flat was spick and span.",
        "She finished magna cum laude.",
        "Blue tits and great tits are birds, and Dick Van Dyke is an actor.",
        "Homo sapiens, the shiitake mushroom, the cockatoo and the peacock.",
        "The pussycat chased the cock of the walk.",
        "It starts at 5 pm, 455 people came, and 8008 is a chip.",
        "I hate Mondays too. That was a stupid printer.",
        "You're not an idiot.",
        "Sex is a word in biology, breast cancer is treated, a penis is an organ.",
        "B.C. and A.D., e.g. i.e. a b c d e f g",
    ],
)
def test_harmless_words_are_left_alone(text: str) -> None:
    assert CHECK.fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Write to bob.smith@company.co.uk",
        "bob (at) company (dot) com",
        "bob at company dot com is his mail",
        "Call +49 30 901820",
        "Her number is 555-0199",
        "(212) 555-0187",
        "020 7946 0958",
        "Use 5555 5555 5555 4444",
        "Pay to GB82 WEST 1234 5698 7654 32",
        "Ask @bobby_tables",
        "see instagram.com/bobby.tables",
        "<@U02ABCDEF>",
        "b\u200bob@comp\u200bany.com",
    ],
)
def test_personal_data_of_others_are_found(text: str) -> None:
    assert CHECK.fault(text) == "personal"


@pytest.mark.parametrize(
    "text",
    [
        "Is ada@mail.org still right?",
        "I'll remember 020 7946 0018.",
        "Hi @ada_l!",
        "The card 4111-1111-1111-1111 of yours.",
        "The account is DE89370400440532013000.",
    ],
)
def test_what_the_person_gave_may_be_said(text: str) -> None:
    assert SAID.fault(text) is None
    assert CHECK.fault(text) == "personal"


@pytest.mark.parametrize(
    "text",
    [
        "It was 2024-05-01, from 1939-1945 and on 01.02.2024.",
        "Pi is 3.14159265358979, half is 0.123456789.",
        "It costs 1,000,000 or 1 000 000 000 dollars.",
        "The address is 192.168.100.200:8080.",
        "Call 112 or 988.",
        "Fibonacci: 0 1 1 2 3 5 8 13 21 34.",
        "Your order number: 0123456789.",
        "Your confirmation number is 011084839.",
        "ISBN 0-306-40615-2",
        "Use `@property` or @dataclass.",
        "```\n@app.route('/x')\ndef f(): ...\n```",
        "@everyone is welcome at 5 @ noon",
        "name@example.com is an example",
        "4111 1111 1111 1112 fails its check digit",
        "The version is 1.2.3-4.",
        "I'd meet at noon, dot your i's.",
    ],
)
def test_numbers_and_signs_that_are_nobodys_are_left_alone(text: str) -> None:
    assert CHECK.fault(text) is None


@given(st.from_regex(r"[1-9][0-9]{14}", fullmatch=True), st.integers(0, 14), st.integers(1, 9))
def test_a_card_is_known_by_its_check_digit(start: str, at: int, change: int) -> None:
    card = start + next(str(d) for d in range(10) if _luhn(start + str(d)))
    assume(len(set(card)) > 1)
    wrong = card[:at] + str((int(card[at]) + change) % 10) + card[at + 1 :]
    assert CHECK.fault(f"It is {card}!") == "personal"
    assert CHECK.fault(f"It is {wrong}!") is None


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


SECRETS = (
    "bob@company.com",
    "+49 30 901820 44",
    "faggot",
    "5555 5555 5555 4444",
    "(212) 555-0187",
    "@bobby_tables",
    "f a g g o t",
)
SMALL_TALK = ("well", "I", "see", "what", "you", "mean", "so", "do", "we", "a", "7", "2024", "fine")
WORDS = st.lists(st.sampled_from(SMALL_TALK), max_size=6)


@given(WORDS, st.sampled_from(SECRETS), WORDS)
def test_a_draft_never_shows_what_the_check_would_refuse(before: list[str], secret: str, after: list[str]) -> None:
    text = " ".join([*before, secret, *after])
    last_part = secret.split()[-1]
    check = ReplyCheck(())
    for end in range(len(text) + 1):
        shown = check.shown(text[:end])
        assert shown is None or text.startswith(shown)
        assert shown is None or check.fault(shown) is None
        assert shown is None or not shown[len(" ".join(before)) :].strip().endswith(last_part) or last_part in before
    assert CHECK.fault(text)


@given(WORDS)
def test_a_draft_of_harmless_words_lags_by_a_word_or_a_number_at_most(words: list[str]) -> None:
    text = " ".join([*words, "then "])
    assert ReplyCheck(()).shown(text) == text.rstrip()


@pytest.mark.parametrize(
    ("so_far", "shown"),
    [
        ("", ""),
        ("On", ""),
        ("Once upon", "Once"),
        ("Once upon ", "Once upon"),
        ("I ", "I"),
        ("I am a ", "I am a"),
        ("Call 020 7946 ", "Call"),
        ("so f a g ", "so"),
        ("今日はとても楽しい", "今日はとても楽しい"),
        ("写信给bob@com", "写信给"),
        ("x" * 200, "x" * 120),
        ("one\n\ntwo", "one"),
    ],
)
def test_a_draft_has_whole_words(so_far: str, shown: str) -> None:
    assert ReplyCheck(()).shown(so_far) == shown


@given(st.text(max_size=200))
def test_any_text_can_be_checked_and_shown(text: str) -> None:
    assert CHECK.fault(text) in (None, "slur", "sexual", "insult", "personal")
    shown = ReplyCheck(()).shown(text)
    assert shown is None or text.startswith(shown)


@pytest.mark.parametrize("unit", ["a", "1", "a ", "1 ", "@a", "a.", "a@", "1-", "n i ", "(at)", "aA1 "])
def test_no_reply_takes_long(unit: str) -> None:
    text = (unit * 8000)[:8000]
    began = time.process_time()
    CHECK.fault(text)
    ReplyCheck(()).shown(text)
    assert time.process_time() - began < 2
