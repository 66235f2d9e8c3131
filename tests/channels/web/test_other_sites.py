"""Pages of other sites, in the browser of who talks with a bot that needs no key: they can neither write nor read."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.channels.web.stack import Stack
from tests.channels.web.test_page import log, say

pytestmark = pytest.mark.xdist_group("page")

Open = Callable[..., Page]
# Each way a page can make a browser call another site; returns what it could read.
ATTACK = """async (bot) => {
  const json = JSON.stringify({ message: "erase it all", user: "ada" });
  const own = JSON.stringify({ message: "/forget" });
  const read = [];
  const calls = [
    ["/chat", { method: "POST", body: own, mode: "no-cors" }],
    ["/chat", { method: "POST", body: own, mode: "no-cors", headers: { "Content-Type": "text/plain" } }],
    ["/chat", { method: "POST", body: own, headers: { "Content-Type": "application/json" } }],
    ["/chat", { method: "POST", body: json, headers: { "Content-Type": "application/json" } }],
    ["/chat/stream", { method: "POST", body: own }],
    ["/history", {}],
    ["/history", { mode: "no-cors" }],
    ["/commands", {}],
  ];
  for (const [path, options] of calls) {
    try {
      const answer = await fetch(bot + path, { credentials: "include", ...options });
      const text = await answer.text();
      if (text) read.push(path + ": " + text);
    } catch {}
  }
  navigator.sendBeacon(bot + "/chat", new Blob([own], { type: "text/plain" }));
  const loaded = (tag, attributes) => new Promise((resolve) => {
    const node = Object.assign(document.createElement(tag), attributes);
    node.onload = () => resolve(true);
    node.onerror = () => resolve(false);
    document.body.append(node);
  });
  for (const [tag, path] of [["img", "/static/icon.svg"], ["script", "/history"], ["script", "/static/app.js"]]) {
    if (await loaded(tag, { src: bot + path })) read.push(tag + " " + path);
  }
  const frame = Object.assign(document.createElement("iframe"), { name: "inside" });
  document.body.append(frame);
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    const form = Object.assign(document.createElement("form"), { method: "POST", enctype: type });
    Object.assign(form, { action: bot + "/chat", target: "inside" });
    form.append(Object.assign(document.createElement("input"), { name: '{"message": "/forget", "x": "', value: '"}' }));
    document.body.append(form);
    const done = new Promise((resolve) => { frame.onload = resolve; });
    form.submit();
    await done;
  }
  return read;
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>elsewhere</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of a server with a page of somebody else."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def visitor(page: Page) -> str:
    return next(str(cookie["value"]) for cookie in page.context.cookies() if cookie["name"] == "rapport_person")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another site", "another port of this machine"])
def test_another_page_can_neither_write_nor_read(stack: Stack, open_page: Open, elsewhere: int, host: str) -> None:
    page = open_page()
    say(page, "between us")
    expect(log(page)).to_contain_text("you said between us")
    before, accepted = visitor(page), set(stack.store.redis.keys("rapport:seen:*"))
    page.goto(f"http://{host}:{elsewhere}/")
    assert page.evaluate(ATTACK, stack.base) == []
    # By a link, where the browser brings no cookie: it must not be given another one.
    page.evaluate("address => { location.href = address }", f"{stack.base}/history")
    page.wait_for_url(f"{stack.base}/history")
    expect(page.locator("body")).to_contain_text("forbidden_origin")
    assert visitor(page) == before
    assert set(stack.store.redis.keys("rapport:seen:*")) == accepted
    page.goto(stack.base)
    expect(log(page)).to_contain_text("you said between us")


def test_a_link_from_elsewhere_leads_to_the_page(stack: Stack, open_page: Open, elsewhere: int) -> None:
    page = open_page()
    say(page, "between us")
    expect(log(page)).to_contain_text("you said between us")
    page.goto(f"http://localhost:{elsewhere}/")
    page.evaluate("address => { location.href = address }", f"{stack.base}/")
    expect(log(page)).to_contain_text("you said between us")


def test_nobody_can_put_the_page_into_theirs(stack: Stack, open_page: Open, elsewhere: int) -> None:
    page = open_page(f"http://127.0.0.1:{elsewhere}/")
    page.evaluate(
        """bot => new Promise((resolve) => {
          const frame = Object.assign(document.createElement("iframe"), { src: bot + "/", onload: resolve });
          document.body.append(frame);
        })""",
        stack.base,
    )
    (frame,) = page.main_frame.child_frames
    assert frame.locator("#message").count() == 0


def test_a_name_that_somebody_points_here_opens_nothing(stack: Stack, open_page: Open) -> None:
    """DNS rebinding: for the browser this is a page of rebound.example, and ours answers it."""
    page = open_page(f"http://rebound.example:{stack.port}/")
    expect(page.locator("body")).to_contain_text("forbidden_host")
    told = page.evaluate("async () => (await fetch('/history')).status")
    assert told == 403
