"""What ``rapport telegram check`` says: what Telegram lets this bot do, and what to change with @BotFather."""

from urllib.parse import urlsplit

from telegram import User, WebhookInfo
from telegram.error import InvalidToken, TelegramError

from channels.telegram.api import Api, reason
from channels.telegram.polling import NO_TOKEN
from channels.telegram.settings import Credentials, Telegram


async def check(section: Telegram, credentials: Credentials, *, take_over: bool = False) -> tuple[bool, list[str]]:
    """Ask Telegram, and return whether the bot can talk, with lines for whoever sets it up.

    Args:
        section: the section [telegram] of the settings.
        credentials: the bot's token and API address.
        take_over: whether to remove a webhook, so that this installation gets the messages by polling.
    """
    api = Api(credentials)
    try:
        if take_over:
            await api.bot.delete_webhook()
        user, webhook = await api.bot.get_me(), await api.bot.get_webhook_info()
    except InvalidToken:
        return False, [f"{NO_TOKEN}."]
    except TelegramError as error:
        return False, [f"Telegram cannot be reached at {credentials.api_url} ({reason(error)})."]
    finally:
        await api.close()
    delivery_works, delivery = _delivery(section, webhook)
    return delivery_works, [*_who(user), *_groups(user), *delivery, *_waiting(webhook)]


def _who(user: User) -> list[str]:
    topics = "yes" if user.has_topics_enabled else "no"
    return [
        f"Bot: {user.first_name} (@{user.username}), https://t.me/{user.username}",
        f"Topics in private chats: {topics}. To change: @BotFather, /mybots, your bot, Bot Settings, Threaded Mode.",
    ]


def _groups(user: User) -> list[str]:
    if not user.can_join_groups:
        return ["Groups: nobody can add it to a group. To allow it: @BotFather, /setjoingroups, Enable."]
    lines = [f"Groups: people can add it (https://t.me/{user.username}?startgroup=true)."]
    if user.can_read_all_group_messages:
        lines.append(
            "Privacy mode is off: Telegram sends it every message of its groups. It answers only mentions, answers to "
            "it and commands, and keeps nothing of the rest. If mentions do not reach it in a group that it joined "
            "before, remove it there and add it again."
        )
    else:
        lines.append(
            "Privacy mode is on: in groups it gets only commands and answers to its own messages. For mentions: "
            "@BotFather, /setprivacy, your bot, Disable; then remove it from its groups and add it again. (Or make it "
            "an administrator of the group.)"
        )
    lines.append("Reactions of people in groups reach it only where it is an administrator; the buttons always work.")
    return lines


def _delivery(section: Telegram, webhook: WebhookInfo) -> tuple[bool, list[str]]:
    wanted, host = section.webhook_url, urlsplit(webhook.url).hostname
    if not webhook.url:
        if wanted:
            return True, ["Delivery: [telegram] webhook_url is set, Telegram learns it when the channel starts."]
        return True, ["Delivery: by polling; no webhook is set."]
    if webhook.url != wanted:
        return False, [
            f"Delivery: a webhook at {host} is set, so Telegram gives messages to that server and not to this one. "
            "If nobody needs it any more, run: rapport telegram check --take-over"
        ]
    lines = [f"Delivery: by the webhook at {host}."]
    if webhook.last_error_message:
        lines.append(f"Telegram's last trouble with it ({webhook.last_error_date}): {webhook.last_error_message}")
    return True, lines


def _waiting(webhook: WebhookInfo) -> list[str]:
    count = webhook.pending_update_count
    return [f"Waiting at Telegram: {count} update{'' if count == 1 else 's'}; it keeps them for 24 hours."]
