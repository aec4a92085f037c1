// Elements that people use: buttons, menus, fields. Each knows how to tell the app, and what it holds.

import { make, plainText, textObject, world } from "./page_text.js";

// What people put into fields, by place and element, so that a redrawn view keeps it.
const held = new Map();

const keyOf = (place, block, element) => `${place.key}/${block.block_id}/${element.action_id}`;

export function stateOf(place) {
  const prefix = `${place.key}/`;
  return Object.fromEntries([...held].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]));
}

export function forget(place) {
  for (const key of [...held.keys()]) if (key.startsWith(`${place.key}/`)) held.delete(key);
}

function hold(use, value) {
  held.set(keyOf(use.place, use.block, use.element), value);
}

const present = (use, initial) => held.get(keyOf(use.place, use.block, use.element)) ?? initial;

// Brings a click or a choice to the app; the control shows that it is under way, and what went wrong.
async function deliver(use, control, value) {
  if (use.element.confirm && !(await use.ask(use.element.confirm))) return false;
  control.setAttribute("aria-busy", "true");
  control.classList.remove("failed");
  const answer = await use.send(use.place, { action_id: use.element.action_id, block_id: use.block.block_id, value, state: stateOf(use.place) });
  control.removeAttribute("aria-busy");
  if (!answer.ok) {
    control.classList.add("failed");
    use.complain(control, answer.problem);
  }
  return answer.ok;
}

function button(use) {
  const { element } = use;
  const control = make("button", { type: "button", class: `button ${element.style ?? ""}`, "aria-label": element.accessibility_label }, plainText(element.text));
  control.addEventListener("click", () => {
    if (control.getAttribute("aria-busy")) return;
    if (/^https?:/i.test(element.url ?? "")) window.open(element.url, "_blank", "noopener,noreferrer");
    deliver(use, control);
  });
  return control;
}

const optionNode = (option) => make("option", { value: option.value }, plainText(option.text));

// A menu of the browser's own: works by keyboard, by touch and for screen readers.
function menu(use, choices, initial) {
  const { element } = use;
  const placeholder = plainText(element.placeholder) || "Choose…";
  const control = make("select", { class: "select", "aria-label": placeholder }, make("option", { value: "" }, placeholder), ...choices);
  control.value = present(use, initial ?? "");
  control.addEventListener("change", async () => {
    hold(use, control.value || null);
    if (use.immediate && control.value && !(await deliver(use, control, control.value))) control.value = "";
  });
  return make("span", { class: "select-frame" }, control);
}

function groupsOrOptions(element) {
  const groups = element.option_groups ?? [];
  if (!groups.length) return (element.options ?? []).map(optionNode);
  return groups.map((group) => make("optgroup", { label: plainText(group.label) }, ...group.options.map(optionNode)));
}

const people = () => [...world.users.values()].map((user) => make("option", { value: user.id }, user.real_name));
const places = () => [...world.channels.values()].filter((each) => !each.is_direct).map((each) => make("option", { value: each.id }, `#${each.name}`));

function severalOf(use, choices, initial) {
  const frame = make("select", { class: "select several", multiple: true, size: Math.min(6, Math.max(2, choices.length)), "aria-label": plainText(use.element.placeholder) || "Choose" }, ...choices);
  const chosen = present(use, initial ?? []);
  for (const option of frame.options) option.selected = chosen.includes(option.value);
  frame.addEventListener("change", () => {
    const values = [...frame.selectedOptions].map((option) => option.value);
    hold(use, values);
    if (use.immediate) deliver(use, frame, values);
  });
  return frame;
}

function overflow(use) {
  const list = make("div", { class: "popover", role: "menu", hidden: true });
  const opener = make("button", { type: "button", class: "button overflow", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": "More actions" }, "⋯");
  const close = () => {
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  };
  for (const option of use.element.options) {
    const entry = make("button", { type: "button", role: "menuitem", class: "popover-entry" }, plainText(option.text));
    entry.addEventListener("click", () => {
      close();
      opener.focus();
      deliver(use, opener, option.value);
    });
    list.append(entry);
  }
  opener.addEventListener("click", () => {
    list.hidden = !list.hidden;
    opener.setAttribute("aria-expanded", String(!list.hidden));
    if (!list.hidden) list.firstElementChild.focus();
  });
  const frame = make("span", { class: "overflow-frame" }, opener, list);
  frame.addEventListener("keydown", (event) => {
    const entries = [...list.children];
    const at = entries.indexOf(document.activeElement);
    if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      event.preventDefault();
      close();
      opener.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      entries[(at + (event.key === "ArrowDown" ? 1 : -1) + entries.length) % entries.length].focus();
    }
  });
  frame.addEventListener("focusout", (event) => {
    if (!frame.contains(event.relatedTarget)) close();
  });
  return frame;
}

function boxes(use, kind) {
  const { element } = use;
  const initial = kind === "radio" ? element.initial_option?.value : (element.initial_options ?? []).map((option) => option.value);
  const chosen = present(use, initial ?? (kind === "radio" ? null : []));
  const name = keyOf(use.place, use.block, element);
  const frame = make("div", { class: "boxes", role: kind === "radio" ? "radiogroup" : "group" });
  for (const option of element.options) {
    const box = make("input", { type: kind, name, value: option.value });
    box.checked = kind === "radio" ? chosen === option.value : chosen.includes(option.value);
    box.addEventListener("change", () => {
      const values = [...frame.querySelectorAll("input:checked")].map((each) => each.value);
      const value = kind === "radio" ? values[0] : values;
      hold(use, value);
      if (use.immediate) deliver(use, frame, value);
    });
    frame.append(make("label", { class: "box" }, box, make("span", {}, textObject(option.text, "span"), option.description ? make("span", { class: "box-hint" }, textObject(option.description, "span")) : null)));
  }
  return frame;
}

function field(use, type, initial, read = (value) => value) {
  const { element } = use;
  const shared = { class: "field", placeholder: plainText(element.placeholder), maxlength: element.max_length, id: use.id, "aria-describedby": use.describedBy };
  const control = element.multiline ? make("textarea", { ...shared, rows: 4 }) : make("input", { ...shared, type });
  control.value = present(use, initial ?? "") ?? "";
  const changed = () => hold(use, control.value === "" ? "" : read(control.value));
  control.addEventListener("input", changed);
  const event = ["date", "time", "datetime-local"].includes(type) ? "change" : "keydown";
  control.addEventListener(event, (fired) => {
    const entered = event === "change" || (fired.key === "Enter" && !element.multiline);
    if (use.immediate && entered && control.value) deliver(use, control, read(control.value));
  });
  return control;
}

const localMoment = (seconds) => (seconds ? new Date(seconds * 1000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : "");

const KINDS = {
  button,
  workflow_button: button,
  overflow,
  static_select: (use) => menu(use, groupsOrOptions(use.element), use.element.initial_option?.value),
  external_select: (use) => menu(use, [], use.element.initial_option?.value),
  users_select: (use) => menu(use, people(), use.element.initial_user),
  conversations_select: (use) => menu(use, places(), use.element.initial_conversation),
  channels_select: (use) => menu(use, places(), use.element.initial_channel),
  multi_static_select: (use) => severalOf(use, groupsOrOptions(use.element), use.element.initial_options?.map((option) => option.value)),
  multi_users_select: (use) => severalOf(use, people(), use.element.initial_users),
  multi_conversations_select: (use) => severalOf(use, places(), use.element.initial_conversations),
  multi_channels_select: (use) => severalOf(use, places(), use.element.initial_channels),
  checkboxes: (use) => boxes(use, "checkbox"),
  radio_buttons: (use) => boxes(use, "radio"),
  datepicker: (use) => field(use, "date", use.element.initial_date),
  timepicker: (use) => field(use, "time", use.element.initial_time),
  datetimepicker: (use) => field(use, "datetime-local", localMoment(use.element.initial_date_time), (value) => Math.floor(new Date(value).getTime() / 1000)),
  plain_text_input: (use) => field(use, "text", use.element.initial_value),
  number_input: (use) => field(use, "number", use.element.initial_value),
  email_text_input: (use) => field(use, "email", use.element.initial_value),
  url_text_input: (use) => field(use, "url", use.element.initial_value),
};

// Draws an element; `use` says where it stands and how to reach the app.
export function control(use) {
  const draw = KINDS[use.element.type];
  return draw ? draw(use) : make("span", { class: "unknown" }, `(${use.element.type} is not drawn here)`);
}

// Draws an input block: label, element, hint and what is wrong with it.
export function input(use, block, error) {
  const id = `field-${use.place.key}-${block.block_id}`.replace(/[^\w-]/g, "_");
  const drawn = control({ ...use, element: block.element, id, describedBy: `${id}-about`, immediate: block.dispatch_action === true });
  const own = ["INPUT", "TEXTAREA"].includes(drawn.tagName);
  const label = make(own ? "label" : "div", { class: "label", for: own ? id : null }, plainText(block.label), block.optional ? make("span", { class: "optional" }, " (optional)") : null);
  const about = make("div", { id: `${id}-about`, class: "about" });
  if (error) about.append(make("div", { class: "error", role: "alert" }, error));
  else if (block.hint) about.append(make("div", { class: "hint" }, plainText(block.hint)));
  return make("div", { class: `input${error ? " has-error" : ""}` }, label, drawn, about);
}
