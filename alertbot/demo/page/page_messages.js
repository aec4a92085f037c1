// Messages: one of them, and a stream of them with days between.

import { attachment, blocks, picture } from "./page_blocks.js";
import { ago, clock, emojiOf, fullTime, make, mrkdwn, prettyDay, world } from "./page_text.js";

// Messages of one author within this time stand together under one name.
const TOGETHER_SECONDS = 300;

export const momentOf = (ts) => new Date(Number(ts) * 1000);

// Icons are drawn here: lines on a 24 x 24 grid.
const ICONS = {
  pulse: "M3 12h4l3-8 4 16 3-8h4",
  reply: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  close: "M6 6l12 12M18 6L6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  send: "M4 12l16-8-6 16-3-7-7-1z",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6l1.4 1.4M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4",
  moon: "M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5",
  hook: "M9 12a4 4 0 1 1 6 3.5M12 9l-4 8M8 17h8",
};

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function avatar(user, small = false) {
  const kind = user?.is_app ? "app" : `hue-${[...(user?.id ?? "?")].reduce((sum, character) => sum + character.charCodeAt(0), 0) % 6}`;
  const initials = (user?.real_name ?? "?").split(" ").map((part) => part[0]).slice(0, 2).join("");
  return make("span", { class: `avatar ${kind}${small ? " small" : ""}`, "aria-hidden": "true" }, user?.is_app ? icon("pulse") : initials);
}

function author(message) {
  if (message.by_webhook) return { id: "webhook", real_name: "Incoming webhook", is_app: true };
  return world.users.get(message.user) ?? { id: message.user, real_name: message.user };
}

function attachedFile(id, use) {
  const file = world.files.get(id);
  if (!file) return make("div", { class: "file pending" }, "A file is being prepared…");
  if (file.mimetype.startsWith("image/")) {
    return make("figure", { class: "image" }, make("figcaption", {}, file.title || file.name), picture({ slack_file: { id } }, file.alt_text || file.title || file.name, use));
  }
  const size = file.size < 1024 ? `${file.size} bytes` : `${Math.round(file.size / 1024)} kB`;
  return make("a", { class: "file", href: file.url, download: file.name }, make("strong", {}, file.title || file.name), make("span", { class: "muted" }, ` ${file.name} · ${size}`));
}

function threadFoot(replies, openThread) {
  const faces = [...new Map(replies.map((reply) => [reply.user, author(reply)])).values()].slice(0, 4).map((user) => avatar(user, true));
  const last = momentOf(replies.at(-1).ts);
  return make(
    "button",
    { type: "button", class: "thread-foot", onclick: openThread },
    make("span", { class: "faces" }, ...faces),
    make("span", { class: "thread-count" }, `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`),
    make("span", { class: "muted ago", "data-at": String(last.getTime()) }, `Last reply ${ago(last)}`),
  );
}

function editedNode(message) {
  const at = new Date(message.edited_at * 1000);
  const times = message.edits === 1 ? "Edited once" : `Edited ${message.edits} times, the last`;
  return make("span", { class: "edited", title: `${times} ${fullTime(at)}` }, `edited ${clock(at)}`);
}

function said(message, use) {
  const parts = [];
  if (message.blocks.length) parts.push(blocks(message.blocks, use));
  else if (message.text) parts.push(mrkdwn(message.text));
  parts.push(...message.attachments.map((each) => attachment(each, use)), ...message.files.map((id) => attachedFile(id, use)));
  return parts;
}

// Draws a message; `around` tells what stands near it and what may be done with it.
export function messageNode(message, around) {
  const user = author(message);
  const at = momentOf(message.ts);
  const use = { ...around.use, place: { key: `${message.channel}-${message.ts}`, channel: message.channel, ts: message.ts } };
  const time = make("time", { class: "stamp", datetime: at.toISOString(), title: fullTime(at) }, clock(at));
  const body = make("div", { class: "message-body" });
  const edited = message.edits ? editedNode(message) : null;
  if (!around.follows) {
    body.append(make("div", { class: "byline" }, make("span", { class: "author" }, user.real_name), user.is_app ? make("span", { class: "badge" }, "App") : null, time, edited));
  }
  if (message.reply_broadcast && !around.inThread) {
    body.append(make("button", { type: "button", class: "broadcast", onclick: () => around.openThread(message.thread_ts) }, icon("reply"), "replied to a thread"));
  }
  body.append(...said(message, use));
  if (around.follows && edited) body.append(edited);
  if (message.reactions.length) body.append(make("div", { class: "reactions" }, ...message.reactions.map((name) => make("span", { class: "reaction", title: `:${name}:` }, emojiOf(name) ?? `:${name}:`, " 1"))));
  if (message.visible_to) body.append(make("div", { class: "only-you" }, icon("eye"), "Only visible to you · ", make("button", { type: "button", class: "dismiss", onclick: () => around.dismiss(message) }, "Dismiss")));
  if (around.replies?.length && !around.inThread) body.append(threadFoot(around.replies, () => around.openThread(message.ts)));
  return make(
    "article",
    { class: `message${around.follows ? " follows" : ""}${message.visible_to ? " ephemeral" : ""}`, "data-ts": message.ts, "aria-label": `${user.real_name}, ${clock(at)}` },
    make("div", { class: "margin" }, around.follows ? time.cloneNode(true) : avatar(user)),
    body,
    tools(message, around),
  );
}

function tools(message, around) {
  if (message.visible_to) return null;
  const bar = make("div", { class: "tools" });
  if (!around.inThread) bar.append(make("button", { type: "button", class: "icon-button", title: "Reply in thread", "aria-label": "Reply in thread", onclick: () => around.openThread(message.thread_ts ?? message.ts) }, icon("reply")));
  bar.append(make("button", { type: "button", class: "icon-button", title: "Delete message", "aria-label": "Delete message", onclick: () => around.remove(message) }, icon("trash")));
  return bar;
}

export function dayNode(at) {
  return make("div", { class: "day", role: "separator" }, make("span", {}, prettyDay(at)));
}

export function followsOn(message, before) {
  return Boolean(
    before && before.user === message.user && before.by_webhook === message.by_webhook && before.visible_to === message.visible_to
    && Number(message.ts) - Number(before.ts) < TOGETHER_SECONDS && !message.reply_broadcast
    // A message with blocks is a piece of its own.
    && !message.blocks.length && !message.attachments.length && !before.attachments.length,
  );
}

// What each stream shows already, so that a change touches its own message only and focus stays where it is.
const shown = new WeakMap();

function signatureOf(message, around) {
  const told = JSON.stringify(message);
  const files = [...world.files.values()].filter((file) => told.includes(file.id)).map((file) => file.mimetype);
  const replies = around.replies ?? [];
  return JSON.stringify([told, around.follows, replies.length, replies.at(-1)?.ts, files, world.zone]);
}

// Draws messages into a stream, oldest first, with days between them.
export function fillStream(stream, messages, aroundOf) {
  const old = shown.get(stream) ?? new Map();
  const now = new Map();
  const reuse = (key, signature, draw) => {
    const known = old.get(key);
    const node = known?.signature === signature ? known.node : draw(known);
    now.set(key, { signature, node });
    return node;
  };
  const nodes = [];
  let before = null;
  let day = "";
  for (const message of messages) {
    const at = momentOf(message.ts);
    const name = prettyDay(at);
    if (name !== day) {
      nodes.push(reuse(`day ${name}`, name, () => dayNode(at)));
      day = name;
      before = null;
    }
    const around = { ...aroundOf(message), follows: followsOn(message, before) };
    const edits = message.edits;
    nodes.push(reuse(message.ts, signatureOf(message, around), (known) => {
      const node = messageNode(message, around);
      if (known && known.edits < edits) node.classList.add("flash");
      return node;
    }));
    now.get(message.ts).edits = edits;
    before = message;
  }
  place(stream, nodes);
  shown.set(stream, now);
}

// Puts nodes into a stream without moving those that stand right.
export function place(stream, nodes) {
  let next = stream.firstChild;
  for (const node of nodes) {
    if (node === next) next = next.nextSibling;
    else stream.insertBefore(node, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

export function echoNode(text, state) {
  return make("div", { class: "echo" }, make("code", {}, text), make("span", { class: "echo-state" }, state));
}

export function emptyNode(title, text) {
  return make("div", { class: "empty" }, make("strong", {}, title), make("p", {}, text));
}
