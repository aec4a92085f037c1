// Text as people read it: mrkdwn, rich text, dates and emoji. Data becomes text nodes, never markup.

const EMOJI = {
  "+1": "👍", thumbsup: "👍", "-1": "👎", alarm_clock: "⏰", arrow_down: "⬇️", arrow_up: "⬆️", arrow_right: "➡️", bar_chart: "📊",
  bell: "🔔", no_bell: "🔕", black_circle: "⚫", bulb: "💡", bust_in_silhouette: "👤", calendar: "📅", chart_with_downwards_trend: "📉",
  chart_with_upwards_trend: "📈", clipboard: "📋", clock1: "🕐", clock3: "🕒", construction: "🚧", dollar: "💵", ear: "👂", eyes: "👀",
  exclamation: "❗", fire: "🔥", gear: "⚙️", green_circle: "🟢", heavy_check_mark: "✔️", hourglass: "⌛", hourglass_flowing_sand: "⏳",
  house: "🏠", information_source: "ℹ️", key: "🔑", large_blue_circle: "🔵", large_green_circle: "🟢", large_orange_circle: "🟠",
  large_purple_circle: "🟣", large_red_circle: "🔴", large_yellow_circle: "🟡", link: "🔗", lock: "🔒", mag: "🔍", mailbox: "📫",
  memo: "📝", money_with_wings: "💸", moneybag: "💰", mute: "🔇", octagonal_sign: "🛑", ok: "🆗", ok_hand: "👌", orange_circle: "🟠",
  pager: "📟", pencil: "📝", pencil2: "✏️", phone: "☎️", point_right: "👉", pushpin: "📌", question: "❓", raised_hand: "✋",
  raised_hands: "🙌", red_circle: "🔴", repeat: "🔁", robot_face: "🤖", rocket: "🚀", rotating_light: "🚨", satellite: "🛰️", scroll: "📜",
  see_no_evil: "🙈", shield: "🛡️", smile: "😄", sleeping: "😴", sos: "🆘", sparkles: "✨", speaker: "🔈", stopwatch: "⏱️",
  speech_balloon: "💬", tada: "🎉", telephone_receiver: "📞", test_tube: "🧪", thinking_face: "🤔", traffic_light: "🚥", warning: "⚠️",
  wave: "👋", white_check_mark: "✅", white_circle: "⚪", wrench: "🔧", x: "❌", yellow_circle: "🟡", zap: "⚡", zzz: "💤",
  one: "1️⃣", two: "2️⃣", three: "3️⃣", large_blue_square: "🟦", large_red_square: "🟥", large_green_square: "🟩", large_yellow_square: "🟨",
};

// Who and what can be mentioned, and the reader's time zone; filled by page.js.
export const world = { users: new Map(), groups: new Map(), channels: new Map(), files: new Map(), me: "", zone: undefined };

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function emojiOf(name) {
  return EMOJI[name] ?? null;
}

const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
}

// --- dates

const day = (options) => ({ timeZone: world.zone, ...options });
const format = (at, options) => new Intl.DateTimeFormat("en-GB", day(options)).format(at);
const isoDay = (at) => new Intl.DateTimeFormat("en-CA", day({ year: "numeric", month: "2-digit", day: "2-digit" })).format(at);

export function clock(at, seconds = false) {
  return format(at, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });
}

export function fullTime(at) {
  return `${format(at, { weekday: "long", day: "numeric", month: "long", year: "numeric" })}, ${clock(at, true)}`;
}

export function prettyDay(at, otherwise = { weekday: "long", day: "numeric", month: "long" }) {
  const now = new Date();
  const days = new Map([[0, "Today"], [-1, "Yesterday"], [1, "Tomorrow"]]);
  for (const [offset, name] of days) {
    if (isoDay(at) === isoDay(new Date(now.getTime() + offset * 86_400_000))) return name;
  }
  return format(at, otherwise);
}

export function ago(at) {
  const seconds = Math.max(0, (Date.now() - at.getTime()) / 1000);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

function dateText(seconds, pattern) {
  const at = new Date(seconds * 1000);
  const long = { day: "numeric", month: "long", year: "numeric" };
  const short = { day: "numeric", month: "short", year: "numeric" };
  const pretty = (options) => (["Today", "Yesterday", "Tomorrow"].includes(prettyDay(at)) ? prettyDay(at).toLowerCase() : format(at, options));
  const parts = {
    date_num: () => isoDay(at),
    date: () => format(at, long),
    date_long: () => format(at, { weekday: "long", ...long }),
    date_short: () => format(at, short),
    date_slash: () => format(at, { day: "2-digit", month: "2-digit", year: "numeric" }),
    date_pretty: () => pretty(long),
    date_long_pretty: () => pretty({ weekday: "long", ...long }),
    date_short_pretty: () => pretty(short),
    time: () => clock(at),
    time_secs: () => clock(at, true),
    ago: () => ago(at),
  };
  return pattern.replace(/\{([a-z_]+)\}/g, (whole, name) => (parts[name] ? parts[name]() : whole));
}

function dateNode(seconds, pattern, fallback, link) {
  if (!Number.isFinite(seconds)) return document.createTextNode(fallback);
  const text = dateText(seconds, pattern);
  const shown = text.charAt(0).toUpperCase() + text.slice(1);
  const node = make("time", { datetime: new Date(seconds * 1000).toISOString(), title: fullTime(new Date(seconds * 1000)) }, shown);
  return link ? linkNode(link, node) : node;
}

// --- links and mentions

export function linkNode(address, content) {
  const safe = /^(https?:|mailto:)/i.test(address);
  if (!safe) return make("span", {}, content ?? address);
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, content ?? address);
}

function mention(kind, text, mine = false) {
  return make("span", { class: `mention mention-${kind}${mine ? " mention-me" : ""}` }, text);
}

export function mentionUser(id, label) {
  const user = world.users.get(id);
  return mention("user", `@${user?.real_name ?? label ?? id}`, id === world.me);
}

const mentionGroup = (id, label) => mention("group", `@${world.groups.get(id)?.handle ?? label?.replace(/^@/, "") ?? id}`);
const mentionChannel = (id, label) => mention("channel", `#${world.channels.get(id)?.name ?? label ?? id}`);
const mentionAll = (range) => mention("all", `@${range}`);

function special(inside) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? null : unescape(inside.slice(bar + 1));
  if (target.startsWith("@")) return mentionUser(target.slice(1), label);
  if (target.startsWith("#")) return mentionChannel(target.slice(1), label);
  if (target.startsWith("!subteam^")) return mentionGroup(target.slice(9), label);
  if (target.startsWith("!date^")) {
    const [, seconds, pattern, link] = target.split("^");
    return dateNode(Number(seconds), unescape(pattern ?? ""), label ?? "", link && unescape(link));
  }
  if (["!here", "!channel", "!everyone"].includes(target)) return mentionAll(target.slice(1));
  if (target.startsWith("!")) return document.createTextNode(label ?? target);
  return linkNode(unescape(target), label === null ? unescape(target.replace(/^mailto:/, "")) : withEmoji(label));
}

// --- mrkdwn

const STYLES = { "*": "strong", _: "em", "~": "s" };
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);

function closing(text, start, mark) {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === "\n") return -1;
    if (text[at] === mark && at > start && !/\s/.test(text[at - 1]) && !isWord(text[at + 1])) return at;
  }
  return -1;
}

function plainRun(text, autolink) {
  const nodes = [];
  const pattern = autolink ? /(https?:\/\/[^\s<>|]+[^\s<>|.,;:!?)'"])/g : /(?!)/g;
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    nodes.push(withEmoji(unescape(text.slice(last, match.index))), linkNode(unescape(match[0])));
    last = match.index + match[0].length;
  }
  nodes.push(withEmoji(unescape(text.slice(last))));
  return nodes;
}

export function inline(text, autolink = true) {
  const out = document.createDocumentFragment();
  let plain = "";
  const flush = () => {
    if (plain) out.append(...plainRun(plain, autolink));
    plain = "";
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === "<") {
      const end = text.indexOf(">", at);
      if (end > at + 1) {
        flush();
        out.append(special(text.slice(at + 1, end)));
        at = end;
        continue;
      }
    } else if (character === "`") {
      const end = text.indexOf("`", at + 1);
      if (end > at + 1 && !text.slice(at, end).includes("\n")) {
        flush();
        out.append(make("code", {}, unescape(text.slice(at + 1, end))));
        at = end;
        continue;
      }
    } else if (STYLES[character] && !isWord(text[at - 1]) && text[at + 1] && !/\s/.test(text[at + 1])) {
      const end = closing(text, at + 1, character);
      if (end > 0) {
        flush();
        out.append(make(STYLES[character], {}, inline(text.slice(at + 1, end), autolink)));
        at = end;
        continue;
      }
    }
    plain += character;
  }
  flush();
  return out;
}

function paragraphs(text, autolink) {
  const out = document.createDocumentFragment();
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const quoted = [];
    const whole = lines[at].startsWith("&gt;&gt;&gt;");
    while (at < lines.length && (lines[at].startsWith("&gt;") || (whole && quoted.length))) {
      quoted.push(lines[at].replace(whole ? /^&gt;&gt;&gt; ?/ : /^&gt; ?/, ""));
      at += 1;
    }
    if (quoted.length) {
      out.append(make("blockquote", {}, inline(quoted.join("\n"), autolink)));
      continue;
    }
    const said = [];
    while (at < lines.length && !lines[at].startsWith("&gt;")) {
      said.push(lines[at]);
      at += 1;
    }
    out.append(make("div", { class: "paragraph" }, inline(said.join("\n"), autolink)));
  }
  return out;
}

// Draws a message's mrkdwn, with fences, quotes and line breaks.
export function mrkdwn(text, autolink = true) {
  const out = make("div", { class: "text" });
  text.split("```").forEach((part, index, parts) => {
    const fenced = index % 2 === 1 && index < parts.length - 1;
    if (fenced) out.append(make("pre", {}, unescape(part.replace(/^\n/, "").replace(/\n$/, ""))));
    else {
      const said = index % 2 === 1 ? `\`\`\`${part}` : part.replace(/^\n/, index ? "" : "\n").replace(/\n$/, index < parts.length - 1 ? "" : "\n");
      if (said.trim()) out.append(paragraphs(said, autolink));
    }
  });
  return out;
}

// Draws a text object of Block Kit.
export function textObject(object, tag = "div") {
  if (!object) return null;
  if (object.type === "mrkdwn") return mrkdwn(object.text, !object.verbatim);
  return make(tag, { class: "text plain" }, object.emoji === false ? object.text : withEmoji(object.text));
}

export function plainText(object) {
  return object ? withEmoji(object.text) : "";
}

// --- rich text

function styled(node, style = {}) {
  const tags = { code: "code", strike: "s", italic: "em", bold: "strong", underline: "u" };
  return Object.entries(tags).reduce((inner, [name, tag]) => (style[name] ? make(tag, {}, inner) : inner), node);
}

function richInline(element) {
  switch (element.type) {
    case "text": return document.createTextNode(element.text);
    case "link": return linkNode(element.url, element.text || element.url);
    case "user": return mentionUser(element.user_id);
    case "usergroup": return mentionGroup(element.usergroup_id);
    case "channel": return mentionChannel(element.channel_id);
    case "broadcast": return mentionAll(element.range);
    case "emoji": return document.createTextNode(EMOJI[element.name] ?? `:${element.name}:`);
    case "date": return dateNode(element.timestamp, element.format, element.fallback ?? "", element.url);
    case "color": return make("code", {}, element.value);
    default: return document.createTextNode(element.text ?? element.fallback ?? "");
  }
}

const richSection = (elements) => elements.map((element) => styled(richInline(element), element.style));

function richPart(part) {
  if (part.type === "rich_text_list") {
    const list = make(part.style === "ordered" ? "ol" : "ul", { class: `indent-${part.indent ?? 0}`, start: part.offset ? part.offset + 1 : null });
    list.append(...part.elements.map((section) => make("li", {}, ...richSection(section.elements))));
    return list;
  }
  if (part.type === "rich_text_preformatted") return make("pre", {}, ...richSection(part.elements));
  if (part.type === "rich_text_quote") return make("blockquote", {}, ...richSection(part.elements));
  return make("div", { class: "paragraph" }, ...richSection(part.elements));
}

export function richText(block) {
  return make("div", { class: "text rich" }, ...block.elements.map(richPart));
}
