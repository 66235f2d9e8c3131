// A small Markdown, built as DOM nodes: what a text contains can never become mark-up of the page.

const INLINE = /(`+)([\s\S]+?)\1|\*\*(?=\S)([\s\S]+?\S?)\*\*|(?<![\w*])[*](?=\S)([^*]+?)(?<=\S)[*](?!\w)|(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)|\[([^\]\n]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]])/g;
const ITEM = /^\s{0,3}(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const FENCE = /^\s{0,3}```/;

export function render(text) {
  const out = document.createDocumentFragment();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) at += 1;
    else if (FENCE.test(lines[at])) at = fence(out, lines, at);
    else if (ITEM.test(lines[at])) at = list(out, lines, at);
    else at = paragraph(out, lines, at);
  }
  return out;
}

function fence(out, lines, start) {
  let end = start + 1;
  while (end < lines.length && !FENCE.test(lines[end])) end += 1;
  const code = element("code", lines.slice(start + 1, end).join("\n"));
  const block = element("pre");
  block.tabIndex = 0; // so that a long line can be scrolled by keyboard
  block.append(code);
  out.append(block);
  return end + 1;
}

function list(out, lines, start) {
  const first = ITEM.exec(lines[start]);
  const numbered = first[1] !== undefined;
  const whole = element(numbered ? "ol" : "ul");
  if (numbered) whole.start = Number(first[1]);
  let at = start;
  for (; at < lines.length; at += 1) {
    const item = ITEM.exec(lines[at]);
    if (item && (item[1] !== undefined) === numbered) {
      const entry = element("li");
      inline(entry, item[2]);
      whole.append(entry);
    } else if (!item && lines[at].trim() && /^\s{2,}/.test(lines[at])) {
      whole.lastChild.append(element("br"));
      inline(whole.lastChild, lines[at].trim());
    } else break;
  }
  out.append(whole);
  return at;
}

function paragraph(out, lines, start) {
  const heading = /^\s{0,3}#{1,6}\s+(.*)$/.exec(lines[start]);
  const block = element("p");
  out.append(block);
  if (heading) {
    const strong = element("strong");
    inline(strong, heading[1]);
    block.append(strong);
    return start + 1;
  }
  let at = start;
  for (; at < lines.length && lines[at].trim(); at += 1) {
    if (at > start && (FENCE.test(lines[at]) || ITEM.test(lines[at]))) break;
    if (at > start) block.append(element("br"));
    inline(block, lines[at]);
  }
  return at;
}

function inline(parent, text) {
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, , code, bold, star, under, label, target, address] = found;
    parent.append(text.slice(from, found.index));
    from = found.index + whole.length;
    if (code !== undefined) parent.append(element("code", code));
    else if (bold !== undefined) nested(parent, "strong", bold);
    else if (star !== undefined || under !== undefined) nested(parent, "em", star ?? under);
    else parent.append(link(label ?? address, target ?? address) ?? whole);
  }
  parent.append(text.slice(from));
}

function nested(parent, tag, text) {
  const child = element(tag);
  inline(child, text);
  parent.append(child);
}

function link(label, target) {
  let url;
  try {
    url = new URL(target);
  } catch {
    return null;
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return null;
  const anchor = element("a", label);
  anchor.href = url.href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow";
  return anchor;
}

export function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}
