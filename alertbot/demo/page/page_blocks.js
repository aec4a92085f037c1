// Block Kit as people see it. `use` says where the blocks stand and how to reach the app.

import { control, input } from "./page_inputs.js";
import { markdown } from "./page_markdown.js";
import { linkNode, make, mrkdwn, plainText, richText, textObject, world } from "./page_text.js";

const INTERACTIVE = (element) => "action_id" in element || ["button", "overflow"].includes(element.type);

function fileOf(reference) {
  if (reference.id) return world.files.get(reference.id);
  return [...world.files.values()].find((file) => reference.url?.includes(file.id));
}

export function picture(source, alt, use, small = false) {
  const file = source.slack_file && fileOf(source.slack_file);
  if (!file) {
    // The page has no outside resource: a public image is named, not fetched.
    return make("div", { class: "image-elsewhere" }, make("span", {}, alt), source.image_url ? linkNode(source.image_url, "open image") : null);
  }
  const image = make("img", { src: file.url, alt, class: small ? "thumbnail" : "picture", loading: small ? null : "eager" });
  if (small) return image;
  return make("button", { type: "button", class: "picture-frame", "aria-label": `Enlarge: ${alt}`, onclick: () => use.enlarge(file.url, alt) }, image);
}

function section(block, use) {
  const said = make("div", { class: "section-said" });
  if (block.text) said.append(textObject(block.text));
  if (block.fields) said.append(make("div", { class: "fields" }, ...block.fields.map((field) => make("div", { class: "field-cell" }, textObject(field)))));
  if (!block.accessory) return make("div", { class: "section" }, said);
  const accessory = block.accessory.type === "image" ? picture(block.accessory, block.accessory.alt_text, use, true) : control({ ...use, block, element: block.accessory, immediate: true });
  return make("div", { class: "section with-accessory" }, said, make("div", { class: "accessory" }, accessory));
}

function context(block, use) {
  const parts = block.elements.map((element) => (element.type === "image" ? picture(element, element.alt_text, use, true) : textObject(element, "span")));
  return make("div", { class: "context" }, ...parts);
}

function actions(block, use) {
  const parts = block.elements.filter(INTERACTIVE).map((element) => control({ ...use, block, element, immediate: true }));
  return make("div", { class: "actions" }, ...parts);
}

function cell(content) {
  if (content?.type === "rich_text") return richText(content);
  return document.createTextNode(String(content?.text ?? content?.value ?? ""));
}

function rowsOf(block, withHead) {
  const settings = block.column_settings ?? [];
  const looksLikeNumber = (column) => {
    const values = block.rows.slice(1).map((row) => row[column]?.text ?? String(row[column]?.value ?? ""));
    return values.length > 0 && values.every((value) => /^[\s$€£+\-–—]*[\d.,  ]*\d[\d.,]*\s*(%|k|M|B|ms|s|USD)?$/.test(value) || value === "–" || value === "");
  };
  const draw = (row, tag) => make("tr", {}, ...row.map((content, column) => {
    const align = settings[column]?.align ?? (looksLikeNumber(column) ? "right" : "left");
    const wrapped = settings[column]?.is_wrapped ? " wrapped" : "";
    return make(tag, { class: `align-${align}${wrapped}`, scope: tag === "th" ? "col" : null }, cell(content));
  }));
  const [head, ...rest] = block.rows ?? [];
  return make("table", {}, head && withHead ? make("thead", {}, draw(head, "th")) : null, make("tbody", {}, ...(withHead ? rest : block.rows ?? []).map((row) => draw(row, "td"))));
}

// A frame in which a wide table scrolls; its edge fades where there is more to see.
function frameOf(name, content) {
  const frame = make("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": name }, content);
  const mark = () => frame.classList.toggle("more", frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 4);
  frame.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(frame);
  return frame;
}

const table = (block) => frameOf("Table", rowsOf(block, true));

function dataTable(block) {
  return make("figure", { class: "data-table" }, make("figcaption", {}, block.caption), frameOf(block.caption, rowsOf({ rows: [], ...block }, true)));
}

function imageBlock(block, use) {
  return make("figure", { class: "image" }, block.title ? make("figcaption", {}, plainText(block.title)) : null, picture(block, block.alt_text, use));
}

function alert(block) {
  return make("div", { class: `alert alert-${block.level ?? "default"}`, role: "note" }, textObject(block.text));
}

const KINDS = {
  header: (block) => make("h3", { class: "header" }, plainText(block.text)),
  section,
  context,
  actions,
  context_actions: actions,
  divider: () => make("hr"),
  image: imageBlock,
  rich_text: richText,
  markdown: (block) => markdown(block.text),
  table,
  data_table: dataTable,
  alert,
  input: (block, use) => input({ ...use, block }, block, use.errors?.[block.block_id]),
};

export function blocks(list, use) {
  const drawn = (list ?? []).map((block) => {
    const draw = KINDS[block.type];
    const node = draw ? draw(block, use) : make("div", { class: "unknown" }, `(a ${block.type} block is not drawn here)`);
    return make("div", { class: `block block-${block.type}` }, node);
  });
  return make("div", { class: "blocks" }, ...drawn);
}

const COLOURS = { good: "var(--good)", warning: "var(--warning)", danger: "var(--danger)" };

function oldAttachment(attachment) {
  const said = make("div", { class: "old-attachment" });
  if (attachment.author_name) said.append(make("div", { class: "muted" }, attachment.author_name));
  if (attachment.title) said.append(make("div", { class: "old-title" }, attachment.title_link ? linkNode(attachment.title_link, attachment.title) : attachment.title));
  if (attachment.text) said.append(mrkdwn(attachment.text));
  const fields = (attachment.fields ?? []).map((field) => make("div", { class: field.short ? "field-cell" : "field-cell wide" }, make("strong", {}, field.title), mrkdwn(String(field.value))));
  if (fields.length) said.append(make("div", { class: "fields" }, ...fields));
  if (attachment.footer) said.append(make("div", { class: "context" }, attachment.footer));
  return said.childElementCount ? said : null;
}

export function attachment(content, use) {
  const bar = make("div", { class: "bar", "aria-hidden": "true" });
  const colour = String(content.color ?? "");
  if (COLOURS[colour]) bar.style.setProperty("background", COLOURS[colour]);
  else if (/^#?[0-9a-f]{6}$/i.test(colour)) bar.style.setProperty("background", `#${colour.replace("#", "")}`);
  return make(
    "div",
    {},
    content.pretext ? mrkdwn(content.pretext) : null,
    make("div", { class: "attachment" }, bar, make("div", { class: "attachment-said" }, oldAttachment(content), content.blocks ? blocks(content.blocks, use) : null)),
  );
}
