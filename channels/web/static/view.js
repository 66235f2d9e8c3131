// The conversation as it is seen: messages, moods, what is being written, the mood line. No network here.

import { element, render } from "./markdown.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = { positive: 8, neutral: 18, negative: 28 };
const SHOWN_MOODS = 8;

const log = $("log");
const writing = $("writing");
const scroll = $("scroll");
let moods = [];
let lastDay = "";
let botName = "Rapport";

export function setBot(name) {
  botName = name;
  $("bot").textContent = name;
  document.title = name;
}

// Keeps the newest text in view, unless the person has scrolled up to read.
function following(change) {
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  change();
  if (atEnd) toEnd();
}

export function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
}

export function clear() {
  log.replaceChildren();
  writing.replaceChildren();
  moods = [];
  lastDay = "";
  drawMoods();
}

export function showWelcome() {
  const hour = new Date().getHours();
  $("hello").textContent = hour < 5 ? "Still up?" : hour < 12 ? "Good morning." : hour < 18 ? "Good afternoon." : "Good evening.";
  $("welcome").hidden = Boolean(log.childElementCount || writing.childElementCount);
}

export function hideWelcome() {
  $("welcome").hidden = true;
}

// Fills the log with what was said before, then with messages that it does not hold yet; this is not announced.
export function showHistory(turns, unanswered) {
  log.setAttribute("aria-live", "off");
  clear();
  for (const turn of turns) {
    if (turn.role === "break") addBreak();
    else if (turn.role === "user") setMood(addUser(turn.text, turn.at), turn.sentiment);
    else log.append(botMessage(turn.text, turn.tone, turn.at));
  }
  log.append(...unanswered);
  toEnd();
  // After the browser has told assistive technology of the change.
  requestAnimationFrame(() => requestAnimationFrame(() => log.setAttribute("aria-live", "polite")));
}

export function addBreak() {
  log.append(element("p", "a fresh start", "divider"));
}

function addDay(at) {
  const day = new Date(at).toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
  const today = new Date().toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
  if (day !== lastDay && (lastDay || day !== today)) log.append(element("p", day === today ? "Today" : day, "divider"));
  lastDay = day;
}

export function addUser(text, at = new Date()) {
  hideWelcome();
  addDay(at);
  const message = element("article", undefined, "message user");
  message.append(element("span", "You: ", "unseen"), element("div", text, "text"));
  message.title = timeOf(at);
  following(() => log.append(message));
  return message;
}

export function setMood(message, label) {
  if (!label || message.dataset.mood) return;
  message.dataset.mood = label;
  const caption = element("p", undefined, "caption");
  caption.append(element("i", undefined, "dot"), `read as ${label}`);
  following(() => message.append(caption));
  moods.push(label);
  drawMoods();
}

export function setDelivery(message, text) {
  message.querySelector(".delivery")?.remove();
  if (text) message.append(element("p", text, "caption delivery"));
}

function botMessage(text, tone, at, finish) {
  const message = element("article", undefined, "message bot");
  const body = element("div", undefined, "text");
  body.append(render(text));
  message.append(element("span", `${botName}: `, "unseen"), body);
  const notes = [tone && `tone: ${tone}`, finish === "cancelled" ? "stopped" : finish === "timeout" ? "cut off" : ""].filter(Boolean);
  if (notes.length) message.append(element("p", notes.join(", "), "caption tone"));
  message.title = timeOf(at);
  return message;
}

function timeOf(at) {
  return new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

// What is being written, by reply id; "" stands for the reply of which nothing is known yet.
function slot(id) {
  const waiting = writing.querySelector('[data-reply=""]');
  let found = writing.querySelector(`[data-reply="${CSS.escape(id)}"]`);
  if (!found && waiting) {
    found = waiting;
    found.dataset.reply = id;
  } else if (!found) {
    found = element("div", undefined, "message bot");
    found.dataset.reply = id;
    const dots = element("div", undefined, "text thinking");
    dots.append(element("i"), element("i"), element("i"));
    found.append(dots);
    writing.append(found);
  } else if (id && waiting) waiting.remove(); // two messages of a burst turned out to share this reply
  return found;
}

export function showThinking() {
  following(() => slot(""));
  $("announce").textContent = `${botName} is writing.`;
}

export function showTone(id, tone) {
  if (!tone) return;
  const target = slot(id);
  if (!target.querySelector(".tone")) following(() => target.append(element("p", `tone: ${tone}`, "caption tone")));
}

export function showDraft(id, text) {
  const body = slot(id).querySelector(".text");
  following(() => {
    body.classList.remove("thinking");
    body.replaceChildren(render(text));
  });
}

export function showReply(reply) {
  following(() => {
    slot(reply.id).remove();
    if (log.querySelector(`[data-reply="${CSS.escape(reply.id)}"]`)) return;
    const message = botMessage(reply.response, reply.tone, new Date(), reply.finish_reason);
    message.dataset.reply = reply.id;
    log.append(message);
  });
  $("announce").textContent = "";
}

export function stopThinking() {
  writing.querySelector('[data-reply=""]')?.remove();
  $("announce").textContent = "";
}

export function setPresence(text) {
  $("presence").textContent = text;
}

// The mood line: the last moods as a small melody, with the same in words.
function drawMoods() {
  const shown = moods.slice(-SHOWN_MOODS);
  $("moodline").hidden = shown.length < 2;
  document.body.dataset.mood = shown.at(-1) ?? "neutral";
  const svg = document.querySelector("#moodline svg");
  const points = shown.map((label, index) => [112 - (shown.length - 1 - index) * 15, HEIGHT[label], label]);
  const path = points.map(([x, y], index) => {
    if (!index) return `M${x} ${y}`;
    const [before, height] = points[index - 1];
    return `C${before + 7.5} ${height} ${x - 7.5} ${y} ${x} ${y}`;
  });
  $("moodtitle").textContent = `Mood of your last ${shown.length} messages: ${shown.join(", ")}`;
  svg.replaceChildren($("moodtitle"), shape("path", { d: path.join(" ") }));
  for (const [cx, cy, label] of points) svg.append(shape("circle", { cx, cy, r: 3.5, class: label }));
}

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
