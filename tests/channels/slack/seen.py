"""What people see, and waiting for it."""

from tests.platforms.base import Post
from tests.platforms.slack import Slack
from tests.waiting import eventually


def posted(slack: Slack, text: str) -> Post:
    """Wait for a post that reads like this."""
    return eventually(lambda: next((post for post in slack.posts if post.text == text and not post.deleted), None))


def calls(slack: Slack, method: str) -> list[dict[str, object]]:
    """Return the arguments of the calls of a method so far."""
    return [call.arguments for call in slack.calls if call.method == method]


def called(slack: Slack, method: str, times: int = 1) -> list[dict[str, object]]:
    """Wait until a method was called so often."""
    return eventually(lambda: found if len(found := calls(slack, method)) >= times else [])
