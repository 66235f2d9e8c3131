"""The chat page in a real browser, as people use it: typing, reading, by phone, by keyboard, by screen reader."""

import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from core.dialogue import Prompt
from core.store import keys
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import Stack
from tests.waiting import eventually

# One browser for all, and its event loop in no other test's way.
pytestmark = pytest.mark.xdist_group("page")

Open = Callable[..., Page]
OnText = Callable[[str], None]


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def log(page: Page) -> Locator:
    return page.get_by_role("log", name="Conversation")


def say(page: Page, text: str) -> None:
    field(page).fill(text)
    field(page).press("Enter")


def test_text_streams_in_and_is_there_after_a_reload(stack: Stack, open_page: Open) -> None:
    go_on = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("That is ")
        go_on.wait(20)
        return "That is **far** too long."

    stack.script = script
    page = open_page()
    say(page, "My order is late")
    expect(page.locator("#writing")).to_contain_text("That is")
    expect(page.locator("#writing")).to_contain_text("tone: empathetic")
    expect(page.locator(".user")).to_contain_text("read as negative")
    expect(log(page)).not_to_contain_text("That is")  # what is announced is the finished reply
    expect(page.get_by_role("button", name="Stop the reply")).to_be_visible()
    go_on.set()
    expect(log(page)).to_contain_text("That is far too long.")
    expect(log(page).locator("strong")).to_have_text("far")
    expect(page.locator("#writing")).to_be_empty()
    page.reload()
    expect(log(page)).to_contain_text("My order is late")
    expect(log(page)).to_contain_text("That is far too long.")
    expect(log(page)).to_contain_text("read as negative")
    expect(log(page)).to_contain_text("tone: empathetic")


def test_a_reload_while_the_reply_is_written_loses_and_doubles_nothing(stack: Stack, open_page: Open) -> None:
    go_on = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("Let me ")
        go_on.wait(20)
        on_text("Let me see ")
        return "Let me see."

    stack.script = script
    page = open_page()
    say(page, "hello")
    expect(page.locator("#writing")).to_contain_text("Let me")
    page.reload()
    expect(page.locator(".user")).to_have_count(1)
    go_on.set()
    expect(log(page).locator(".bot")).to_have_text(re.compile(r"Let me see\."))
    page.reload()
    expect(page.locator(".user")).to_have_count(1)
    expect(page.locator(".bot")).to_have_count(1)


def test_a_reply_that_came_while_nobody_looked_is_shown_once(stack: Stack, open_page: Open) -> None:
    go_on = threading.Event()

    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("Soon ")
        go_on.wait(20)
        return "Here I am."

    stack.script = script
    page = open_page()
    say(page, "hello")
    expect(page.locator("#writing")).to_contain_text("Soon")
    page.goto("about:blank")
    eventually(lambda: stack.waiting() == 0)
    go_on.set()
    eventually(lambda: stack.store.redis.xlen(keys.outbox("web")) == 0 and not stack.store.redis.zcard(keys.WAITING))
    page.goto(stack.base)
    expect(log(page)).to_contain_text("Here I am.")
    expect(page.locator(".user")).to_have_count(1)
    expect(page.locator(".bot")).to_have_count(1)


def test_a_page_without_connection_keeps_the_message_and_sends_it_later(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#welcome")).to_be_visible()
    page.context.set_offline(True)
    say(page, "are you there?")
    expect(page.get_by_role("alert")).to_contain_text("Your message is kept.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.context.set_offline(False)
    expect(log(page)).to_contain_text("you said are you there?")
    expect(page.locator(".user")).to_have_count(1)
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_message_that_is_too_long_stays_in_the_field(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#welcome")).to_be_visible()
    say(page, "x" * 8003)
    expect(page.get_by_role("alert")).to_contain_text("3 characters too long")
    expect(field(page)).to_have_value("x" * 8003)


def test_the_keyboard_is_enough(stack: Stack, open_page: Open) -> None:
    def script(prompt: Prompt, on_text: OnText, cancelled: threading.Event) -> str:
        on_text("Once upon a time ")
        return "Once upon a time" if cancelled.wait(20) else "nobody stopped me"

    stack.script = script
    page = open_page()
    expect(page.locator("#welcome")).to_be_visible()
    expect(field(page)).to_be_focused()
    page.keyboard.type("tell me")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("a story")
    expect(field(page)).to_have_value("tell me\na story")
    page.keyboard.press("Enter")
    expect(page.locator("#writing")).to_contain_text("Once upon")
    expect(field(page)).to_be_focused()
    page.keyboard.press("Escape")
    expect(log(page)).to_contain_text("stopped")
    expect(page.locator(".user")).to_have_count(1)
    # The commands, chosen without a mouse; none is sent before Enter.
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Commands")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#commands")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(field(page)).to_have_value("/help")
    page.keyboard.press("Enter")
    expect(log(page)).to_contain_text("erases everything I keep about you")


def test_forget_empties_the_page_too(open_page: Open) -> None:
    page = open_page()
    say(page, "remember this")
    expect(log(page)).to_contain_text("you said remember this")
    say(page, "/forget")
    expect(log(page)).to_contain_text("I erased our whole conversation")
    expect(log(page)).not_to_contain_text("remember this")
    page.reload()
    expect(page.locator("#welcome")).to_be_visible()


def test_an_opening_can_be_chosen(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="I had a really good day!").click()
    expect(log(page)).to_contain_text("you said I had a really good day!")
    expect(page.locator("#welcome")).to_be_hidden()
    expect(field(page)).to_be_focused()


def test_names_and_roles_for_a_screen_reader(open_page: Open) -> None:
    page = open_page()
    say(page, "I am sad")
    expect(log(page)).to_contain_text("you said I am sad")
    tree = page.locator("body").aria_snapshot()
    for part in (
        'heading "Rapport"',
        'log "Conversation"',
        'textbox "Message"',
        'button "Send"',
        'button "Commands"',
        "read as negative",
        "tone: empathetic",
    ):
        assert part in tree, tree
    expect(log(page)).to_have_attribute("aria-live", "polite")
    expect(page.locator("#writing")).to_have_attribute("aria-hidden", "true")


def test_a_phone_needs_no_sideways_scroll(stack: Stack, open_page: Open) -> None:
    stack.script = lambda prompt, on_text, cancelled: (
        f"{'long' * 60}\n\n```\n{'code ' * 60}\n```\nhttps://e.example/{'x' * 200}"
    )
    page = open_page(viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True, device_scale_factor=2)
    expect(page.locator("#welcome")).to_be_visible()
    wide = "() => Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)"
    assert page.evaluate(wide) <= 360
    say(page, "unbroken" * 40)
    expect(log(page)).to_contain_text("longlong")
    assert page.evaluate(wide) <= 360
    box = field(page).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 640
    for button in page.get_by_role("button").all():
        size = button.bounding_box()
        assert size is None or size["height"] >= 36


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_can_be_read(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    say(page, "I am sad")
    expect(log(page)).to_contain_text("you said I am sad")
    colour = "(node, name) => getComputedStyle(node)[name]"
    paper = luminance(page.locator("body").evaluate(colour, "backgroundColor"))
    assert (paper > 0.5) is (scheme == "light")

    def contrast(selector: str, background: float) -> float:
        ink = luminance(page.locator(selector).first.evaluate(colour, "color"))
        return (max(ink, background) + 0.05) / (min(ink, background) + 0.05)

    said = luminance(page.locator(".user .text").evaluate(colour, "backgroundColor"))
    assert contrast(".user .text", said) >= 7
    assert contrast(".bot .text", paper) >= 7
    assert contrast(".caption", paper) >= 4.5
    assert contrast("#presence", paper) >= 4.5
    assert page.locator(".user").evaluate(colour, "animationName") == "none"


def test_the_key_is_asked_for_once(locked: Stack, open_page: Open) -> None:
    page = open_page(locked.base)
    key = page.get_by_label("Key", exact=True)
    key.fill("wrong")
    key.press("Enter")
    expect(page.get_by_text("That key was not accepted.")).to_be_visible()
    key.fill(KEY)
    key.press("Enter")
    expect(page.locator("#key-dialog")).to_be_hidden()
    say(page, "hello")
    expect(log(page)).to_contain_text("you said hello")
    page.reload()
    expect(log(page)).to_contain_text("you said hello")
    expect(page.locator("#key-dialog")).to_be_hidden()


def test_the_page_of_the_api_shows_examples(stack: Stack, open_page: Open) -> None:
    page = open_page(f"{stack.base}/docs")
    expect(page.get_by_role("heading", name="POST /chat", exact=True)).to_be_visible()
    expect(page.locator("body")).to_contain_text('"message": "My order is three weeks late!"')
