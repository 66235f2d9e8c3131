// The chat page: composer, keys, sending with retry, and what was still unanswered when the page was left.

import { Refused, converse, getJson, keepKey, newId, onKeyNeeded, say } from "./net.js";
import { element } from "./markdown.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const PENDING = "rapport.pending";
const WAITS_S = [1, 2, 4, 8, 15];

const field = $("message");
let maxChars = Infinity;
let running = 0;
let stopping = false;
let ready = false; // the history is shown; what is sent before would be drawn over
let early = ""; // sent before that
const unanswered = new Set(); // messages on the page that the history does not hold yet
const sleepers = new Set(); // retries that wait for their time

// Messages without a reply yet, kept over a reload: sent again under the same id, none is answered twice.
const pending = new Map(JSON.parse(sessionStorage.getItem(PENDING) ?? "[]"));
function remember(id, text) {
  if (text === null) pending.delete(id);
  else pending.set(id, text);
  sessionStorage.setItem(PENDING, JSON.stringify([...pending]));
}

// ---- sending

async function send(text, id = newId()) {
  remember(id, text);
  const message = view.addUser(text);
  view.toEnd();
  unanswered.add(message);
  setRunning(+1);
  try {
    await untilAnswered(id, text, message);
  } finally {
    unanswered.delete(message);
    setRunning(-1);
  }
}

async function untilAnswered(id, text, message) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      view.showThinking();
      await follow(id, text, message);
      remember(id, null);
      return;
    } catch (error) {
      view.stopThinking();
      if (!(error instanceof Refused)) throw error;
      if (error.code === "answered") { // while nobody looked
        remember(id, null);
        unanswered.delete(message);
        await loadHistory();
        return;
      }
      if (!error.passing) {
        giveBack(id, text, message, error);
        return;
      }
      view.setDelivery(message, "not answered yet");
      await pause(error, WAITS_S[Math.min(attempt, WAITS_S.length - 1)]);
    }
  }
}

async function follow(id, text, message) {
  for await (const [name, data] of converse(id, text)) {
    trouble(null);
    view.setDelivery(message, "");
    if (name === "busy") {
      if (data.place) view.setDelivery(message, `many people are writing to me: you are number ${data.place}`);
    } else if (name === "mood") {
      view.setMood(message, data.sentiment.label);
      view.showTone(data.id, data.tone);
    } else if (name === "draft") {
      view.showDraft(data.id, data.text);
    } else if (name === "reply") {
      view.setMood(message, data.sentiment?.label);
      finish(text, data);
    }
  }
}

function finish(text, reply) {
  const command = reply.finish_reason === "command" ? text.trim().split(/\s/)[0].toLowerCase() : "";
  if (command === "/forget") view.clear();
  if (command === "/new") view.addBreak();
  view.showReply(reply);
}

// A message that cannot be taken as it is goes back into the field, to be changed.
function giveBack(id, text, message, error) {
  remember(id, null);
  message.remove();
  if (!field.value) field.value = text;
  grow();
  trouble(error.message);
  if (!pending.size) view.showWelcome();
}

// Says what is wrong and waits: until the time is over, the network is back or the person wants to try again.
function pause(error, seconds) {
  const kept = pending.size || early ? "Your message is kept. " : "";
  trouble(`${error.message} ${kept}Trying again by itself.`, true);
  view.setPresence(navigator.onLine ? "trying to get back to you" : "you are offline");
  return new Promise((resolve) => {
    const go = () => {
      clearTimeout(timer);
      sleepers.delete(go);
      resolve();
    };
    const timer = setTimeout(go, seconds * 1000);
    sleepers.add(go);
  });
}

function wake() {
  for (const go of [...sleepers]) go();
}

function setRunning(change) {
  running += change;
  $("stop").hidden = !running || Boolean(field.value.trim());
  $("send").hidden = !$("stop").hidden;
  if (!running) stopping = false;
}

async function stop() {
  if (!running || stopping) return;
  stopping = true;
  try {
    await say("/stop");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    stopping = false; // it was not heard; the reply itself tells of what is wrong
  }
}

// ---- the page around it

function trouble(text, retry = false) {
  $("trouble").hidden = !text;
  $("trouble-text").textContent = text ?? "";
  $("retry").hidden = !retry;
  if (!text) view.setPresence("here with you");
}

function grow() {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
  const length = field.value.length;
  if (length > maxChars) trouble(`That is ${(length - maxChars).toLocaleString()} characters too long for one message.`);
  setRunning(0);
}

function submit() {
  const text = field.value.trim();
  if (!text || text.length > maxChars) return;
  field.value = "";
  grow();
  start(text);
  field.focus();
}

function start(text) {
  if (ready) {
    trouble(null);
    send(text);
  } else early = early ? `${early}\n${text}` : text;
}

async function loadHistory() {
  view.showHistory(await getJson("/history"), unanswered);
}

function showCommands(commands) {
  $("command-list").replaceChildren(...commands.map(({ name, summary }) => {
    const button = element("button");
    button.type = "button";
    button.append(element("b", `/${name}`), element("span", summary));
    button.addEventListener("click", () => {
      $("commands").hidePopover();
      field.value = `/${name}`; // not sent yet: some of them erase
      grow();
      field.focus();
    });
    const item = element("li");
    item.append(button);
    return item;
  }));
}

function askForKey(wrong) {
  const dialog = $("key-dialog");
  $("key-wrong").hidden = !wrong;
  $("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      keepKey($("key").value.trim());
      field.focus();
      resolve();
    }, { once: true });
  });
}

function listen() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener("input", () => {
    trouble(null);
    grow();
  });
  field.addEventListener("keydown", (event) => {
    // While an input method composes a word, Enter belongs to it.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector(":popover-open, dialog[open]")) stop();
  });
  $("stop").addEventListener("click", () => {
    stop();
    field.focus();
  });
  $("retry").addEventListener("click", () => {
    wake();
    field.focus();
  });
  $("openings").addEventListener("click", (event) => {
    const opening = event.target.closest("button");
    if (!opening) return;
    start(opening.textContent);
    field.focus();
  });
  $("key-dialog").addEventListener("cancel", (event) => event.preventDefault()); // without a key there is nothing to see
  addEventListener("offline", () => view.setPresence("you are offline"));
  addEventListener("online", () => {
    view.setPresence("here with you");
    wake();
  });
}

async function begin() {
  listen();
  onKeyNeeded(oneAtATime(askForKey));
  for (let attempt = 0; ; attempt += 1) {
    try {
      const about = await getJson("/commands");
      view.setBot(about.bot);
      maxChars = about.max_chars;
      showCommands(about.commands);
      await loadHistory();
      break;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await pause(error, WAITS_S[Math.min(attempt, WAITS_S.length - 1)]);
    }
  }
  trouble(null);
  ready = true;
  for (const [id, text] of [...pending]) send(text, id);
  if (early) send(early);
  view.showWelcome();
}

function oneAtATime(ask) {
  let asking = null;
  return (...given) => (asking ??= ask(...given).finally(() => { asking = null; }));
}

begin();
