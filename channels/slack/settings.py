"""The section [slack], and tokens and addresses from the environment or .env; which of them make sense together."""

from dataclasses import dataclass, field

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError
from core.sections import Section
from core.settings import env_file

API_URL = "https://slack.com/api/"
WHERE = "at https://api.slack.com/apps, your app"


class Slack(Section):
    """What can be chosen about the Slack channel."""

    other_bots: bool = False


class _Secrets(BaseSettings):
    """Secrets of this channel: from the environment or .env, never from settings.toml."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_file_encoding="utf-8")

    slack_bot_token: SecretStr = SecretStr("")
    slack_app_token: SecretStr = SecretStr("")
    slack_signing_secret: SecretStr = SecretStr("")
    slack_api_url: str = ""


@dataclass(frozen=True)
class Credentials:
    """Tokens of the bot (one a workspace), and how events come in: by a socket (app token) or by signed requests."""

    bot_tokens: tuple[str, ...] = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    api_url: str = API_URL

    @property
    def by_socket(self) -> bool:
        """Say whether events come by Socket Mode; then the signing secret is not used."""
        return bool(self.app_token)


def credentials() -> Credentials:
    """Return the credentials; raises SettingsError if some are missing or in each other's place."""
    secrets = _Secrets(_env_file=env_file())
    bots = tuple(filter(None, (one.strip() for one in secrets.slack_bot_token.get_secret_value().split(","))))
    app = secrets.slack_app_token.get_secret_value().strip()
    signing = secrets.slack_signing_secret.get_secret_value().strip()
    _refuse_bot_tokens(bots)
    if app and not app.startswith("xapp-"):
        raise SettingsError(
            "SLACK_APP_TOKEN does not begin with xapp-. It is the app-level token with the scope connections:write "
            f"({WHERE}: Basic Information, App-Level Tokens), not a bot token."
        )
    if signing.startswith(("xapp-", "xoxb-", "xoxp-")):
        raise SettingsError(
            f"SLACK_SIGNING_SECRET holds a token. The secret stands {WHERE}: Basic Information, App Credentials."
        )
    if not app and not signing:
        raise SettingsError(
            "Neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set, so no message could come in. Set SLACK_APP_TOKEN "
            "(Socket Mode, needs no public address), or SLACK_SIGNING_SECRET if Slack shall call the web channel."
        )
    url = secrets.slack_api_url.strip() or API_URL
    if not url.startswith(("https://", "http://")):
        raise SettingsError("SLACK_API_URL is no address. Leave it empty for Slack itself, or give a full http(s) URL.")
    return Credentials(bots, app, signing, url)


def _refuse_bot_tokens(tokens: tuple[str, ...]) -> None:
    if not tokens:
        raise SettingsError(
            f"SLACK_BOT_TOKEN is not set. Copy the Bot User OAuth Token ({WHERE}: OAuth & Permissions) into .env."
        )
    for token in tokens:
        if token.startswith("xoxp-"):
            raise SettingsError(
                "SLACK_BOT_TOKEN holds a user token (xoxp-). Take the Bot User OAuth Token, which begins with xoxb-."
            )
        if not token.startswith(("xoxb-", "xoxe.xoxb-")):
            raise SettingsError(
                "SLACK_BOT_TOKEN does not begin with xoxb-. Take the Bot User OAuth Token "
                f"({WHERE}: OAuth & Permissions); separate the tokens of several workspaces by commas."
            )
    if len(set(tokens)) < len(tokens):
        raise SettingsError("SLACK_BOT_TOKEN holds the same token twice. Give each workspace's token once.")
