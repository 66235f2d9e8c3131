"""Markdown -> the HTML that the Bot API takes (pure), and whether a message may show a text.

Telegram has bold, italic, underline, strikethrough, code, links and quotes; what else Markdown has becomes plain
readable text. Everything is escaped. Nothing that is rendered here can ping anybody: a name after "@" gets an
invisible character, and only web addresses become links (``tg://user`` would be a mention).
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

# In UTF-16 units after parsing. Telegram allows 4096; the rest is for the mark of a repeated message.
TEXT_UNITS = 4000
MAX_ENTITIES = 100  # further ones are silently left out by Telegram
LONGEST_SOURCE = 4 * TEXT_UNITS  # far more than any text of that size has in mark-up
WIDEST_TABLE = 32  # characters side by side on a phone
BULLET, INDENT, RULE = "• ", "   ", "———"
JOINER = "\u2060"  # word joiner: invisible, and no part of a name

MARKS = {"strong": "b", "em": "i", "s": "s"}
# Tags that models write into Markdown and Telegram knows as well.
INLINE_TAGS = {"b": "b", "strong": "b", "i": "i", "em": "i", "u": "u", "ins": "u", "s": "s", "del": "s", "code": "code"}
TAG = re.compile(r"<(/?)([a-z]+) */?>", re.IGNORECASE)
LANGUAGE = re.compile(r"[\w+#.-]{1,40}")
WEB = re.compile(r"https?://[^\s/]", re.IGNORECASE)
# Endings of hosts that Telegram takes for an address without https:// as well; it has many more.
ENDINGS = "com|org|net|edu|gov|info|app|social|me|io|tv|co|ai|uk|de|fr|eu"
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# What Telegram takes for an address: a host with a dot in it, and nothing before it that could belong to it. Only then
# is a name in its path no mention. A mention is "@" where no word ends.
BEFORE = " \n\t([{<\"'«"
MENTION = re.compile(
    rf"(?<![^{re.escape(BEFORE)}])"
    rf"(?:https?://(?:{LABEL}\.)+[a-z]{{2,63}}|(?:{LABEL}\.)+(?:{ENDINGS}))"
    r"(?::[1-9]\d{0,3})?[/?#][^\s\"'`<>()\[\]{}«»|\u2000-\u206f]*"
    r"|(?<!\w)@(?!\s)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rendered:
    """A text for sendMessage. ``shown`` is what people see of it; ``entities`` how many stretches have a format."""

    html: str
    shown: str
    entities: int


def units(text: str) -> int:
    """Return the length of a text as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fits(text: str) -> bool:
    """Say whether one message can show this Markdown."""
    if len(text) > LONGEST_SOURCE:
        return False
    rendered = render(text)
    return units(rendered.shown) <= TEXT_UNITS and rendered.entities <= MAX_ENTITIES


@lru_cache(maxsize=64)
def render(text: str) -> Rendered:
    """Return a Markdown text as HTML."""
    out = _blocks(_markdown().parse(text), quoted=False).strip()
    tags = re.findall(r"<(/?\w+)", out)
    entities = sum(not tag.startswith("/") for tag in tags) - out.count("<pre><code")
    return Rendered(out, html.unescape(re.sub(r"<[^>]*>", "", out)), entities)


def quiet(text: str, *, begins: bool = True) -> str:
    """Return a plain text in which no name can be pinged; ``begins``: nothing stands right before it."""
    if not begins:
        return quiet(f",{text}")[1:]
    return MENTION.sub(lambda found: f"@{JOINER}" if found[0] == "@" else found[0], text)


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).disable("html_block")


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _blocks(tokens: Sequence[Token], *, quoted: bool) -> str:
    """Return blocks with an empty line between them, or only a line break within a tight list."""
    out: list[str] = []
    position = 0
    while position < len(tokens):
        end = _end(tokens, position)
        token, inside = tokens[position], tokens[position + 1 : end]
        out.append(_block(token, inside, quoted=quoted))
        position = max(end, position) + 1
    return "\n\n".join(filter(None, out))


def _block(token: Token, inside: Sequence[Token], *, quoted: bool) -> str:
    match token.type:
        case "paragraph_open":
            return _inline(inside[0].children or [])
        case "heading_open":
            return _wrapped("b", _inline(inside[0].children or []))
        case "bullet_list_open" | "ordered_list_open":
            return _list(token, inside, quoted=quoted)
        case "blockquote_open":
            within = _blocks(inside, quoted=True)
            # Quotes cannot be nested at Telegram.
            return within if quoted else _wrapped("blockquote", within)
        case "fence" | "code_block":
            return _code(token.content.removesuffix("\n"), token.info)
        case "table_open":
            return _table(inside)
        case "hr":
            return RULE
    return _escaped(token.content.strip())


def _end(tokens: Sequence[Token], position: int) -> int:
    """Return where the block that opens here closes; the same position if it has nothing inside."""
    depth = 0
    for index in range(position, len(tokens)):
        depth += tokens[index].nesting
        if depth == 0:
            return index
    return len(tokens)


def _list(token: Token, tokens: Sequence[Token], *, quoted: bool) -> str:
    number = int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else None
    items: list[str] = []
    position, tight = 0, True
    while position < len(tokens):
        end = _end(tokens, position)
        inside = tokens[position + 1 : end]
        tight = tight and all(
            one.hidden for one in inside if one.type == "paragraph_open" and one.level == token.level + 2
        )
        blocks = _blocks(inside, quoted=quoted)
        mark = BULLET if number is None else f"{number + len(items)}. "
        # A list within a list begins in the next line, without an empty one.
        items.append(mark + _indented(blocks.replace("\n\n", "\n") if tight else blocks))
        position = end + 1
    return ("\n" if tight else "\n\n").join(items)


def _indented(text: str) -> str:
    """Indent all lines but the first, and none of a code block."""
    out, in_code = [], False
    for number, line in enumerate(text.split("\n")):
        out.append(line if number == 0 or in_code or not line else INDENT + line)
        in_code = line.rfind("<pre>") > line.rfind("</pre>") or (in_code and "</pre>" not in line)
    return "\n".join(out)


def _code(content: str, info: str) -> str:
    if not content.strip():
        return ""
    language = LANGUAGE.match(info.strip())
    if not language:
        return f"<pre>{_escaped(content)}</pre>"
    return f'<pre><code class="language-{language[0]}">{_escaped(content)}</code></pre>'


def _table(tokens: Sequence[Token]) -> str:
    """Return a small table in columns, and a wide one as a list of its rows, each cell with its column's name."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_plain(token.children or []))
    head, *body = rows
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    if sum(widths) + 3 * (len(widths) - 1) <= WIDEST_TABLE:
        lines = [
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        lines.insert(1, "-+-".join("-" * width for width in widths))
        return f"<pre>{_escaped(chr(10).join(lines))}</pre>"
    out = ["\n".join(_cell(name, cell) for name, cell in zip(head, row, strict=True) if cell) for row in body]
    return "\n\n".join(out) or _escaped(quiet(" | ".join(head)))


def _cell(name: str, cell: str) -> str:
    return f"{_wrapped('b', _escaped(quiet(f'{name}:')))} {_escaped(quiet(cell))}" if name else _escaped(quiet(cell))


def _plain(tokens: Sequence[Token]) -> str:
    """Return inline tokens as text without marks."""
    return "".join(" " if token.type in ("softbreak", "hardbreak") else token.content for token in tokens).strip()


def _inline(tokens: Sequence[Token], *, begins: bool = True) -> str:
    """Return tokens as HTML; ``begins``: nothing stands right before them."""
    out = ""
    position = 0
    closing = _closing(tokens)
    while position < len(tokens):
        token = tokens[position]
        end = closing.get(position, position) if token.type == "html_inline" else _end(tokens, position)
        inside = tokens[position + 1 : end]
        here = out[-1] in BEFORE if out else begins
        out += _span(token, inside, begins=here) if end > position else _leaf(token, begins=here)
        position = max(end, position) + 1
    return out


def _span(token: Token, inside: Sequence[Token], *, begins: bool) -> str:
    if token.type == "html_inline":
        found = TAG.fullmatch(token.content)
        assert found
        tag = INLINE_TAGS[found[2].lower()]
        return (
            f"<code>{_escaped(_plain(inside))}</code>"
            if tag == "code"
            else _wrapped(tag, _inline(inside, begins=begins))
        )
    if token.type == "link_open":
        return _link(_inline(inside, begins=begins), str(token.attrs.get("href", "")))
    return _wrapped(MARKS[token.type.removesuffix("_open")], _inline(inside, begins=begins))


def _leaf(token: Token, *, begins: bool) -> str:
    match token.type:
        case "softbreak" | "hardbreak":
            return "\n"
        case "code_inline":
            return f"<code>{_escaped(token.content)}</code>"
        case "image":
            return _link(_escaped(quiet(token.content, begins=begins)) or "image", str(token.attrs.get("src", "")))
        case "html_inline" if re.fullmatch(r"<br */?>", token.content, re.IGNORECASE):
            return "\n"
    return _escaped(quiet(token.content, begins=begins))


def _closing(tokens: Sequence[Token]) -> dict[int, int]:
    """Return where each HTML tag of ours closes, by where it opens; without those that never do.

    Read once, from the end: to look for each tag's end by itself takes seconds where many never close.
    """
    found: dict[int, int] = {}
    closers: list[dict[str, int]] = []  # by level: the next closing tag of each name
    for position in range(len(tokens) - 1, -1, -1):
        token = tokens[position]
        del closers[token.level + 1 :]  # a tag does not close outside of what it opens in
        tag = TAG.fullmatch(token.content) if token.type == "html_inline" else None
        name = tag[2].lower() if tag else ""
        if not tag or name not in INLINE_TAGS:
            continue
        closers += [{} for _ in range(len(closers), token.level + 1)]
        if tag[1]:
            closers[token.level][name] = position
        elif name in closers[token.level]:
            found[position] = closers[token.level][name]
    return found


def _link(text: str, address: str) -> str:
    if WEB.match(address):
        return f'<a href="{html.escape(address)}">{text}</a>' if text else _escaped(address)
    return f"{text} ({_escaped(quiet(address))})" if address else text


def _wrapped(tag: str, inner: str) -> str:
    return f"<{tag}>{inner}</{tag}>" if inner else ""
