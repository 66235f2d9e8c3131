// Talks to the API: key, JSON calls, and the reply as a stream. Nothing of the page is touched here.

const KEY = "rapport.key";

// An error that the API told us; status 0: no answer came at all.
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  // The same message may be sent again as it is: its id keeps it from being answered twice.
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// Set by the page: asks the person for the key, resolves when there is one to try.
let askForKey = async () => {};
export function onKeyNeeded(ask) { askForKey = ask; }
export function keepKey(key) { sessionStorage.setItem(KEY, key); }

async function call(path, body, signal) {
  for (;;) {
    const headers = { "Accept": "application/json, text/event-stream" };
    const key = sessionStorage.getItem(KEY);
    // Header values cannot hold other characters; such a key is wrong anyway, so it is asked for again.
    if (key && /^[\x20-\x7e]+$/.test(key)) headers["Authorization"] = `Bearer ${key}`;
    if (body) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) });
    } catch {
      throw new Refused(0, "offline", "I can't be reached right now.");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await askForKey(Boolean(key));
      continue;
    }
    const told = await response.json().catch(() => ({}));
    throw new Refused(response.status, told.error?.code ?? "error", told.error?.message ?? "Something went wrong.");
  }
}

export async function getJson(path) {
  return (await call(path)).json();
}

export async function say(message) {
  await call("/chat", { message });
}

// Sends a message and yields [event, data] until the reply has come; throws Refused.
export async function* converse(id, message) {
  const response = await call("/chat/stream", { id, message });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch {
      chunk = { done: true };
    }
    if (chunk.done) throw new Refused(0, "broken", "The connection broke off.");
    const blocks = (rest + chunk.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      if (!name) continue; // a comment that keeps the connection open
      const data = JSON.parse(/^data: (.*)$/m.exec(block)[1]);
      if (name === "error") {
        throw new Refused(data.error.code === "stopping" ? 503 : 504, data.error.code, data.error.message);
      }
      yield [name, data];
      if (name === "reply") return;
    }
  }
}

export function newId() {
  // crypto.randomUUID exists on secure addresses only; a bot in the home network has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
