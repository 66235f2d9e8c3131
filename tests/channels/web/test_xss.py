"""What people and models write never becomes mark-up of the page: in a real browser, with its policy and without it.

Written, answered, drafted, read again after a reload, as the bot's name, and as an answer of the API that is opened by
itself.
"""

import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from core.dialogue import Prompt
from tests.channels.web.stack import Stack
from tests.channels.web.test_page import field, log, say

pytestmark = pytest.mark.xdist_group("page")

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<IMG SRC=x OnErRoR=alert(1)//",
    "<svg onload=alert(1)>",
    "<svg><script>alert&#40;1&#41;</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    "<details open ontoggle=alert(1)>x</details>",
    "<input autofocus onfocus=alert(1)>",
    "<a href=javascript:alert(1)>click</a>",
    "<body onload=alert(1)>",
    "<style>@import 'javascript:alert(1)'; * { display: none }</style>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</textarea><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert%281%29)",
    "[a](\tjavascript:alert(1))",
    "[a](java\nscript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](vbscript:msgbox(1))",
    "[a](blob:https://e.example/1)",
    "[a](file:///etc/passwd)",
    "[a](//e.example/<img/src=x/onerror=alert(1)>)",
    '[a](https://e.example/"onmouseover="alert(1))',
    "[<img src=x onerror=alert(1)>](https://e.example/)",
    '![x](x"onerror="alert(1))',
    "`<img src=x onerror=alert(1)>`",
    "```\n<script>alert(1)</script>\n```",
    "# <img src=x onerror=alert(1)>",
    "- <img src=x onerror=alert(1)>",
    "**<img src=x onerror=alert(1)>** _<svg/onload=alert(1)>_",
    "https://e.example/<img/src=x/onerror=alert(1)>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "__proto__[x]=<img src=x onerror=alert(1)>",
]
# Whatever runs leaves a trace, and so does what only the policy of the page has kept from running.
WATCH = """
window.ran = [];
for (const name of ["alert", "confirm", "prompt"]) window[name] = (...given) => window.ran.push([name, ...given]);
document.addEventListener("securitypolicyviolation", (event) => window.ran.push(["policy", event.violatedDirective]));
"""
# What the page makes of texts, and no more.
STRANGE = """(root) => {
  const tags = new Set("article div p span i b strong em code pre br ul ol li a".split(" "));
  const attributes = new Set("class title start tabindex href rel target data-mood data-reply".split(" "));
  const strange = [];
  for (const node of root.querySelectorAll("*")) {
    if (!tags.has(node.localName)) strange.push(node.outerHTML);
    for (const { name, value } of node.attributes) if (!attributes.has(name)) strange.push(`${name}=${value}`);
    if (node.localName === "a" && !["http:", "https:", "mailto:"].includes(node.protocol)) strange.push(node.href);
  }
  return strange;
}"""
TOGETHER = 4
Open = Callable[..., Page]


@pytest.fixture
def echoing(make_stack: Callable[..., Stack]) -> Stack:
    """A bot that says again what it is told, links and all."""
    stack = make_stack(safety={"links": ("*",), "check_replies": False}, inbox={"person_per_minute": 0})
    stack.start_worker()
    stack.script = lambda prompt, on_text, cancelled: prompt.messages[-1].content
    return stack


def watched(open_page: Open, stack: Stack, *, with_policy: bool) -> Page:
    page = open_page("about:blank", bypass_csp=not with_policy)
    page.context.add_init_script(WATCH)
    page.goto(stack.base)
    expect(page.locator("#welcome")).to_be_visible()
    return page


def is_clean(page: Page) -> None:
    for place in ("#log", "#writing"):
        assert page.locator(place).evaluate(STRANGE) == []
    for link in log(page).get_by_role("link").all():
        link.hover()
    assert page.evaluate("window.ran") == []


def bubbles(page: Page, whose: str) -> Locator:
    return page.locator(f"#log .{whose} .text")


@pytest.mark.parametrize("with_policy", [True, False], ids=["as it is", "without its policy"])
def test_what_is_said_stays_text(echoing: Stack, open_page: Open, with_policy: bool) -> None:
    page = watched(open_page, echoing, with_policy=with_policy)
    texts = ["\n\n".join(PAYLOADS[start::TOGETHER]) for start in range(TOGETHER)]
    for number, text in enumerate(texts, 1):
        say(page, text)
        expect(page.locator("#log .bot")).to_have_count(number)
    for _ in range(2):
        is_clean(page)
        assert bubbles(page, "user").all_text_contents() == texts
        assert bubbles(page, "bot").count() == len(texts)
        shown = "".join(bubbles(page, "bot").all_text_contents())
        for payload in ("<script>alert(1)</script>", "<svg onload=alert(1)>", "[a](javascript:alert(1))"):
            assert payload in shown
        page.reload()
        expect(page.locator("#log .bot")).to_have_count(len(texts))


def test_drafts_stay_text(echoing: Stack, open_page: Open) -> None:
    go_on = threading.Event()

    def script(prompt: Prompt, on_text: Callable[[str], None], cancelled: threading.Event) -> str:
        on_text("\n\n".join([*PAYLOADS, "and so on "]))
        go_on.wait(20)
        return "done"

    echoing.script = script
    page = watched(open_page, echoing, with_policy=False)
    say(page, "hello")
    expect(page.locator("#writing")).to_contain_text("and so")
    is_clean(page)
    assert "<script>alert(1)</script>" in (page.locator("#writing").text_content() or "")
    go_on.set()
    expect(page.locator("#log .bot")).to_have_count(1)
    is_clean(page)


def test_each_payload_alone_is_rendered_as_text(echoing: Stack, open_page: Open) -> None:
    page = watched(open_page, echoing, with_policy=False)
    show = """async (text) => {
      const { render } = await import("/static/markdown.js");
      const place = document.createElement("div");
      place.append(render(text));
      document.getElementById("log").replaceChildren(place);
    }"""
    for payload in PAYLOADS:
        page.evaluate(show, payload)
        is_clean(page)


def test_a_message_that_waits_is_text_after_a_reload(make_stack: Callable[..., Stack], open_page: Open) -> None:
    stack = make_stack()
    page = watched(open_page, stack, with_policy=False)
    say(page, PAYLOADS[1])
    expect(bubbles(page, "user")).to_have_text(PAYLOADS[1])
    page.reload()
    expect(bubbles(page, "user")).to_have_text(PAYLOADS[1])
    is_clean(page)


def test_the_name_of_the_bot_stays_text(make_stack: Callable[..., Stack], open_page: Open) -> None:
    name = "<img src=x onerror=alert(1)>"
    stack = make_stack(bot={"name": name})
    page = watched(open_page, stack, with_policy=False)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert page.title() == name
    page.goto(f"{stack.base}/docs")
    expect(page.locator("#title")).to_have_text(f"{name}: the HTTP API")
    assert page.locator("img").count() == 1, "the bot's own picture"
    assert page.evaluate("window.ran") == []


def test_an_answer_that_is_opened_by_itself_is_no_page(echoing: Stack, open_page: Open) -> None:
    page = watched(open_page, echoing, with_policy=False)
    say(page, PAYLOADS[0])
    expect(page.locator("#log .bot")).to_have_count(1)
    for path in (
        "/history",
        "/history?user=%3Cscript%3Ealert(1)%3C/script%3E%0A",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        answer = page.goto(f"{echoing.base}{path}")
        assert answer
        assert answer.headers["content-type"] == "application/json"
        assert page.locator("script").count() == 0
        assert page.evaluate("window.ran") == []


def test_what_would_run_is_seen_to(echoing: Stack, open_page: Open) -> None:
    """The checks above would notice: the same texts, put into the page as mark-up."""
    page = watched(open_page, echoing, with_policy=False)
    page.evaluate("text => { document.getElementById('log').innerHTML = text }", PAYLOADS[1])
    page.wait_for_function("window.ran.length")
    assert page.locator("#log").evaluate(STRANGE)
    guarded = watched(open_page, echoing, with_policy=True)
    refused = guarded.evaluate(
        "text => { try { document.getElementById('log').innerHTML = text } catch (error) { return error.name } }",
        PAYLOADS[1],
    )
    assert refused == "TypeError", "the policy lets no text become mark-up"
    expect(field(guarded)).to_be_visible()


def test_links_of_a_reply_lead_where_they_say_or_nowhere(echoing: Stack, open_page: Open) -> None:
    echoing.script = lambda prompt, on_text, cancelled: (
        "<img src=x onerror=alert(1)> [bad](javascript:alert(1)) [good](https://e.example/a) `<b>`\n1. one\n2. two"
    )
    page = open_page(echoing.base)
    say(page, "<script>alert(1)</script>")
    expect(log(page)).to_contain_text("<img src=x onerror=alert(1)> [bad](javascript:alert(1)) good <b>")
    expect(log(page)).to_contain_text("<script>alert(1)</script>")
    expect(log(page).locator("img, script, b")).to_have_count(0)
    link = log(page).get_by_role("link")
    expect(link).to_have_count(1)
    expect(link).to_have_attribute("href", "https://e.example/a")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    expect(log(page).locator("ol > li")).to_have_count(2)
