// Standard Markdown of the `markdown` block: headings, lists, quotes, fences, tables and what stands in a line.

import { linkNode, make } from "./page_text.js";

const SPANS = [
  [/^`([^`\n]+)`/, (match) => make("code", {}, match[1])],
  [/^\*\*(?=\S)(.+?)\*\*/, (match) => make("strong", {}, spans(match[1]))],
  [/^__(?=\S)(.+?)__/, (match) => make("strong", {}, spans(match[1]))],
  [/^~~(?=\S)(.+?)~~/, (match) => make("s", {}, spans(match[1]))],
  [/^\*(?=\S)(.+?)\*/, (match) => make("em", {}, spans(match[1]))],
  [/^_(?=\S)(.+?)_(?!\w)/, (match) => make("em", {}, spans(match[1]))],
  [/^!?\[([^\]]*)\]\(([^()\s]+)\)/, (match) => linkNode(match[2], match[1] || match[2])],
  [/^\\([\\`*_{}[\]()#+\-.!|~>])/, (match) => document.createTextNode(match[1])],
];

function spans(text) {
  const out = document.createDocumentFragment();
  let plain = "";
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const found = SPANS.map(([pattern, draw]) => [rest.match(pattern), draw]).find(([match]) => match);
    if (!found) {
      plain += text[at];
      at += 1;
      continue;
    }
    out.append(plain, found[1](found[0]));
    plain = "";
    at += found[0][0].length;
  }
  out.append(plain);
  return out;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function table(lines) {
  const [head, , ...rows] = lines.map(cells);
  const row = (tag) => (each) => make("tr", {}, ...each.map((cell) => make(tag, {}, spans(cell))));
  return make("div", { class: "table-frame" }, make("table", {}, make("thead", {}, row("th")(head)), make("tbody", {}, ...rows.map(row("td")))));
}

// Each kind of block: what its first line looks like, which lines belong to it, and how it is drawn.
const KINDS = [
  [/^#{1,6} /, () => false, ([line]) => make(`h${Math.min(6, line.indexOf(" ") + 1)}`, { class: "markdown-heading" }, spans(line.replace(/^#+ /, "").replace(/ #+$/, "")))],
  [/^ *([-*_] *){3,}$/, () => false, () => make("hr")],
  [/^>/, (line) => line.startsWith(">"), (lines) => make("blockquote", {}, spans(lines.map((line) => line.replace(/^> ?/, "")).join("\n")))],
  [/^ *[-*+] /, (line) => /^ *[-*+] |^ {2,}\S/.test(line), (lines) => make("ul", {}, ...lines.map((line) => make("li", {}, spans(line.replace(/^ *[-*+] /, "")))))],
  [/^ *\d+[.)] /, (line) => /^ *\d+[.)] |^ {2,}\S/.test(line), (lines) => make("ol", {}, ...lines.map((line) => make("li", {}, spans(line.replace(/^ *\d+[.)] /, "")))))],
  [/^\|/, (line) => line.startsWith("|"), (lines) => (lines.length > 1 ? table(lines) : make("div", { class: "paragraph" }, spans(lines[0])))],
];

export function markdown(text) {
  const out = make("div", { class: "text markdown" });
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    if (lines[at].startsWith("```")) {
      const end = lines.findIndex((line, index) => index > at && line.startsWith("```"));
      const last = end < 0 ? lines.length : end;
      out.append(make("pre", {}, lines.slice(at + 1, last).join("\n")));
      at = last + 1;
      continue;
    }
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const kind = KINDS.find(([begins]) => begins.test(lines[at]));
    const belongs = kind ? kind[1] : (line) => line.trim() && !line.startsWith("```") && !KINDS.some(([begins]) => begins.test(line));
    const taken = [lines[at]];
    at += 1;
    while (at < lines.length && belongs(lines[at])) {
      taken.push(lines[at]);
      at += 1;
    }
    out.append(kind ? kind[2](taken) : make("div", { class: "paragraph" }, spans(taken.join("\n"))));
  }
  return out;
}
