// The page: what there is, what is looked at, and what the person does. The server holds the truth; changes stream in.

import { blocks } from "./page_blocks.js";
import { avatar, echoNode, emptyNode, fillStream, icon } from "./page_messages.js";
import { closeLightbox, complain, enlarge, question, showModals, toast } from "./page_dialogs.js";
import { ago, make, world } from "./page_text.js";

const byId = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search);
// Without the stream of changes a picture of the page can be taken: nothing is pending.
const live = wanted.get("live") !== "off";

const state = { messages: new Map(), unread: new Map(), modals: [], home: null, bot: "", commands: [], hint: "" };
// What is looked at: a channel or the app's Home, and a thread beside it.
const look = { channel: "", home: false, thread: null };
// Commands that were typed here: shown to whoever typed them, and kept for the arrow keys.
const typed = { history: [], at: 0, echoes: [] };

// --- talking to the server

async function send(act, content) {
  try {
    const answer = await fetch(`/_page/${act}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user: world.me, ...content }) });
    const told = await answer.json();
    if (!live) setTimeout(() => load().then(() => drawAll()), 300);
    return told;
  } catch {
    return { ok: false, problem: "the demo does not answer" };
  }
}

const placed = (place) => (place.view ? { view: place.view } : { channel: place.channel, ts: place.ts });
const use = { immediate: true, send: (place, content) => send("click", { ...placed(place), ...content }), ask: question, complain, enlarge };

async function load() {
  const answer = await fetch(`/_page/state?user=${encodeURIComponent(wanted.get("user") ?? "")}`);
  const told = await answer.json();
  world.me = told.me;
  world.users = new Map(told.users.map((user) => [user.id, { ...user, is_app: user.id === told.bot }]));
  world.groups = new Map(told.groups.map((group) => [group.id, group]));
  world.channels = new Map(told.channels.map((channel) => [channel.id, channel]));
  world.files = new Map(told.files.map((file) => [file.id, file]));
  world.zone = world.users.get(told.me)?.tz;
  state.messages = new Map(told.channels.map((channel) => [channel.id, new Map()]));
  for (const message of told.messages) state.messages.get(message.channel)?.set(message.ts, message);
  Object.assign(state, { modals: told.modals, home: told.home, bot: told.bot, commands: told.commands, hint: told.usage_hint });
}

function listen() {
  if (!live) return;
  const changes = new EventSource(`/_page/changes?user=${world.me}`);
  changes.onopen = async () => {
    byId("lost").hidden = true;
    // What happened between the first look and now, or while the connection was lost, is not told again.
    await load();
    drawAll(false);
  };
  changes.onerror = () => {
    byId("lost").hidden = false;
  };
  changes.onmessage = (event) => take(JSON.parse(event.data));
}

const TAKE = {
  posted: takeMessage,
  edited: takeMessage,
  deleted: takeMessage,
  modal: (change) => {
    state.modals = change.modals;
    drawModals();
  },
  home: (change) => {
    state.home = change.home;
    drawHome();
  },
  file: (change) => {
    world.files.set(change.file.id, change.file);
    drawStreams();
  },
  channel: (change) => {
    if (change.gone) world.channels.delete(change.channel.id);
    else world.channels.set(change.channel.id, change.channel);
    if (!state.messages.has(change.channel.id)) state.messages.set(change.channel.id, new Map());
    drawSidebar();
    drawTop();
  },
};

const take = (change) => TAKE[change.kind]?.(change);

function takeMessage({ kind, message }) {
  state.messages.get(message.channel)?.set(message.ts, message);
  if (kind === "posted" && message.user !== world.me && (look.home || message.channel !== look.channel)) {
    state.unread.set(message.channel, (state.unread.get(message.channel) ?? 0) + 1);
    drawSidebar();
  }
  drawStreams();
}

// --- drawing

const messagesOf = (channel) => [...(state.messages.get(channel)?.values() ?? [])].filter((message) => !message.deleted).sort((a, b) => Number(a.ts) - Number(b.ts));
const isReply = (message) => Boolean(message.thread_ts && message.thread_ts !== message.ts);

function channelEntry(channel) {
  const count = state.unread.get(channel.id) ?? 0;
  const here = !look.home && channel.id === look.channel;
  const mark = make("span", { class: "hash", "aria-hidden": "true" }, channel.is_private ? "🔒" : "#");
  return make("li", {}, make(
    "button",
    { type: "button", class: `entry${count ? " unread" : ""}${channel.is_archived ? " archived" : ""}`, "aria-current": here ? "page" : null, onclick: () => goTo({ channel: channel.id }) },
    mark, make("span", { class: "entry-name" }, channel.name), countNode(count),
  ));
}

const countNode = (count) => (count ? make("span", { class: "count", "aria-label": `${count} new` }, String(count)) : null);

function appEntry(direct) {
  const count = state.unread.get(direct?.id) ?? 0;
  const here = look.home || (direct && look.channel === direct.id);
  const face = avatar(world.users.get(state.bot), true);
  // Unread messages are what one came for, else Home.
  const where = count ? { channel: direct.id } : { home: true };
  return make("li", {}, make(
    "button",
    { type: "button", class: `entry${count ? " unread" : ""}`, "aria-current": here ? "page" : null, onclick: () => goTo(where) },
    face, make("span", { class: "entry-name" }, "alertbot"), countNode(count),
  ));
}

function drawSidebar() {
  const channels = [...world.channels.values()];
  byId("channels").replaceChildren(...channels.filter((channel) => !channel.is_direct).map(channelEntry));
  byId("apps").replaceChildren(appEntry(channels.find((channel) => channel.is_direct)));
  byId("my-avatar").replaceChildren(avatar(world.users.get(world.me)));
  const people = [...world.users.values()].filter((user) => !user.is_app);
  byId("user").replaceChildren(...people.map((user) => make("option", { value: user.id, selected: user.id === world.me }, user.real_name)));
}

function drawTop() {
  const channel = world.channels.get(look.channel);
  const direct = [...world.channels.values()].find((each) => each.is_direct);
  const onApp = look.home || channel?.is_direct;
  byId("title").textContent = onApp ? "alertbot" : channel ? `# ${channel.name}` : "No channel";
  const about = channel ? [`${channel.members} members`, channel.is_archived ? "archived" : "", channel.bot_is_member ? "" : "alertbot is not here"].filter(Boolean).join(" · ") : "";
  byId("subtitle").textContent = onApp ? "The app's own place" : about;
  byId("tabs").hidden = !onApp;
  const tab = (name, chosen, where) => make("button", { type: "button", role: "tab", class: "tab", "aria-selected": String(chosen), onclick: () => goTo(where) }, name);
  byId("tabs").replaceChildren(tab("Home", look.home, { home: true }), direct ? tab("Messages", !look.home, { channel: direct.id }) : "");
  document.title = onApp ? "alertbot · Acme" : `#${channel?.name ?? ""} · Acme`;
  const closed = !channel || channel.is_archived;
  byId("composer").hidden = look.home;
  byId("composer-text").disabled = closed;
  byId("composer-text").placeholder = closed ? "This channel is archived" : `Message ${channel.is_direct ? "alertbot" : `#${channel.name}`}, or type /`;
  const hint = make("span", {}, "as ", make("strong", {}, world.users.get(world.me)?.real_name ?? ""), " · try ", make("code", {}, `${state.commands[0] ?? ""} help`), make("span", { class: "wide-only" }, " · Shift + Enter for a new line"));
  byId("composer-hint").replaceChildren(hint);
}

function aroundOf(message, inThread) {
  const replies = inThread ? [] : messagesOf(message.channel).filter((each) => isReply(each) && each.thread_ts === message.ts);
  return {
    inThread,
    replies,
    use,
    openThread: (ts) => goTo({ thread: ts }),
    remove: removeMessage,
    dismiss: (each) => send("delete", { channel: each.channel, ts: each.ts }),
  };
}

async function removeMessage(message) {
  const sure = await question({ title: { text: "Delete this message?" }, text: { type: "plain_text", text: "As somebody in the channel would. The app is not told." }, confirm: { text: "Delete" }, deny: { text: "Keep" }, style: "danger" });
  if (sure) await send("delete", { channel: message.channel, ts: message.ts });
}

const atEnd = (stream) => stream.scrollHeight - stream.scrollTop - stream.clientHeight < 120;

function drawStream(stream, messages, inThread, jump) {
  const stay = jump || atEnd(stream);
  fillStream(stream, messages, (message) => aroundOf(message, inThread));
  const scroll = () => {
    if (stay) stream.scrollTop = stream.scrollHeight;
  };
  // A picture takes its room only when it has come.
  for (const image of stream.querySelectorAll("img")) if (!image.complete) image.addEventListener("load", scroll, { once: true });
  return scroll;
}

function drawStreams(jump = false) {
  const all = messagesOf(look.channel);
  const settle = [drawStream(byId("stream"), all.filter((message) => !isReply(message) || message.reply_broadcast || (message.visible_to && isReply(message) && !look.thread)), false, jump)];
  if (!all.length) byId("stream").replaceChildren(emptyNode("Nothing here yet", "Alerts will appear as they fire. Type a slash command to ask for something."));
  for (const echo of typed.echoes.filter((each) => each.channel === look.channel)) byId("stream").append(echo.node);
  byId("thread").hidden = !look.thread;
  byId("layout").classList.toggle("with-thread", Boolean(look.thread));
  if (look.thread) {
    const thread = all.filter((message) => message.ts === look.thread || message.thread_ts === look.thread);
    byId("thread-subtitle").textContent = byId("title").textContent;
    settle.push(drawStream(byId("thread-stream"), thread, true, jump));
  }
  settle.forEach((scroll) => scroll());
}

function drawHome() {
  const home = byId("home");
  home.hidden = !look.home;
  byId("stream").hidden = look.home;
  if (!look.home) return;
  const place = { key: state.home?.id ?? "home", view: state.home?.id };
  home.replaceChildren(make("div", { class: "home-said" }, state.home ? blocks(state.home.blocks, { ...use, place }) : emptyNode("Nothing published yet", "alertbot is asked for its Home.")));
}

function drawModals() {
  showModals(state.modals, use, {
    submit: (view, values) => send("submit", { view: view.id, state: values }),
    close: (view) => send("close", { view: view.id }),
  });
}

function drawAll(jump = true) {
  drawSidebar();
  drawTop();
  drawHome();
  drawStreams(jump);
  drawModals();
}

// --- going about

function goTo({ channel, home, thread }) {
  if (channel) Object.assign(look, { channel, home: false, thread: null });
  if (home) Object.assign(look, { home: true, thread: null });
  if (thread !== undefined) look.thread = thread;
  state.unread.delete(look.home ? "" : look.channel);
  showSidebar(false);
  const here = new URLSearchParams(wanted);
  for (const name of ["channel", "thread", "view", "ts"]) here.delete(name);
  if (look.home) here.set("view", "home");
  else here.set("channel", world.channels.get(look.channel)?.name ?? look.channel);
  if (look.thread) here.set("thread", look.thread);
  history.replaceState(null, "", `?${here}`);
  drawSidebar();
  drawTop();
  drawHome();
  drawStreams(thread === undefined);
  if (home) send("home", {}).then((answer) => answer.ok || toast(`alertbot did not publish its Home: ${answer.problem}`));
  if (thread) byId("thread-text").focus();
}

function showSidebar(open) {
  document.body.classList.toggle("sidebar-open", open);
  byId("menu").setAttribute("aria-expanded", String(open));
  byId("shade").hidden = !open;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").replaceChildren(icon(theme === "dark" ? "sun" : "moon"));
}

// --- typing

async function typeCommand(text) {
  const echo = { channel: look.channel, node: echoNode(text, "is under way…") };
  typed.echoes.push(echo);
  drawStreams(true);
  const answer = await send("command", { channel: look.channel, text });
  if (answer.ok) {
    typed.echoes = typed.echoes.filter((each) => each !== echo);
    echo.node.remove();
  } else {
    echo.node.classList.add("failed");
    echo.node.lastElementChild.textContent = `failed: ${answer.problem}`;
  }
}

function submitText(field, threadTs) {
  const text = field.value.trim();
  if (!text) return;
  field.value = "";
  grow(field);
  suggest();
  typed.history.push(text);
  typed.at = typed.history.length;
  if (text.startsWith("/")) {
    if (threadTs) toast("Slash commands cannot be used in threads.");
    else typeCommand(text);
    return;
  }
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const named = escaped.replace(/@([\w.-]+)/g, (whole, name) => {
    const user = [...world.users.values()].find((each) => each.name === name);
    return user ? `<@${user.id}>` : whole;
  });
  send("say", { channel: look.channel, text: named, thread_ts: threadTs });
}

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 180)}px`;
}

function suggest() {
  const text = byId("composer-text").value;
  const fitting = text.startsWith("/") && !text.includes(" ") ? state.commands.filter((command) => command.startsWith(text)) : [];
  byId("suggestion").hidden = !fitting.length;
  byId("suggestion").replaceChildren(...fitting.map((command) => make(
    "button",
    { type: "button", class: "suggestion-entry", onclick: () => complete(command) },
    avatar(world.users.get(state.bot), true), make("strong", {}, command), make("span", { class: "muted" }, state.hint),
  )));
}

function complete(command) {
  const field = byId("composer-text");
  field.value = `${command} `;
  field.focus();
  suggest();
}

function listenToField(field, form, threadOf) {
  field.addEventListener("input", () => {
    grow(field);
    suggest();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Tab" && !byId("suggestion").hidden) {
      event.preventDefault();
      complete(state.commands.find((command) => command.startsWith(field.value)));
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && typed.history.length && (!field.value || typed.history.includes(field.value))) {
      event.preventDefault();
      typed.at = Math.min(typed.history.length, Math.max(0, typed.at + (event.key === "ArrowUp" ? -1 : 1)));
      field.value = typed.history[typed.at] ?? "";
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitText(field, threadOf());
  });
}

// --- the beginning

function listenToPage() {
  for (const [id, name] of [["menu", "menu"], ["thread-close", "close"]]) byId(id).append(icon(name));
  for (const each of document.querySelectorAll(".send")) each.append(icon("send"));
  byId("menu").addEventListener("click", () => showSidebar(!document.body.classList.contains("sidebar-open")));
  byId("shade").addEventListener("click", () => showSidebar(false));
  byId("thread-close").addEventListener("click", () => goTo({ thread: null }));
  byId("lightbox").addEventListener("click", closeLightbox);
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  byId("user").addEventListener("change", (event) => {
    const there = new URLSearchParams(location.search);
    there.set("user", event.target.value);
    location.search = there.toString();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && look.thread && !document.querySelector("dialog[open]")) goTo({ thread: null });
  });
  listenToField(byId("composer-text"), byId("composer"), () => null);
  listenToField(byId("thread-text"), byId("thread-composer"), () => look.thread);
  setInterval(() => {
    for (const node of document.querySelectorAll("[data-at]")) node.textContent = `Last reply ${ago(new Date(Number(node.dataset.at)))}`;
  }, 30_000);
}

function firstLook() {
  const name = (wanted.get("channel") ?? "").replace(/^#/, "");
  const channels = [...world.channels.values()];
  const found = channels.find((channel) => channel.name === name || channel.id === name) ?? channels.find((channel) => !channel.is_direct);
  Object.assign(look, { channel: found?.id ?? "", thread: wanted.get("thread"), home: wanted.get("view") === "home" });
}

const dark = wanted.get("theme") ? wanted.get("theme") === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
setTheme(dark ? "dark" : "light");
listenToPage();
await load();
firstLook();
drawAll();
listen();
if (look.home) send("home", {});
const ts = wanted.get("ts");
if (ts) {
  const node = document.querySelector(`[data-ts="${CSS.escape(ts)}"]`);
  node?.classList.add("flash");
  node?.scrollIntoView({ block: "center" });
}
