// What stands above the page: modals of the app, questions, a large picture, short notes.

import { blocks } from "./page_blocks.js";
import { forget, stateOf } from "./page_inputs.js";
import { icon } from "./page_messages.js";
import { make, plainText, textObject } from "./page_text.js";

const byId = (id) => document.getElementById(id);

export function toast(text) {
  const note = make("div", { class: "toast" }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

// Says beside a control why the app could not be reached.
export function complain(control, problem) {
  const reasons = { operation_timeout: "alertbot did not answer in time.", dispatch_failed: "alertbot could not be reached." };
  toast(reasons[problem] ?? `That did not work: ${problem}`);
}

// Asks a confirm object's question; resolves to whether it was confirmed.
export function question(confirm) {
  const dialog = byId("question");
  const yes = make("button", { type: "button", class: `button ${confirm.style === "danger" ? "danger" : "primary"}` }, plainText(confirm.confirm));
  const no = make("button", { type: "button", class: "button" }, plainText(confirm.deny));
  dialog.replaceChildren(make("h2", {}, plainText(confirm.title)), textObject(confirm.text), make("div", { class: "dialog-foot" }, no, yes));
  return new Promise((resolve) => {
    const end = (answer) => {
      dialog.onclose = null;
      if (dialog.open) dialog.close();
      resolve(answer);
    };
    yes.addEventListener("click", () => end(true));
    no.addEventListener("click", () => end(false));
    dialog.onclose = () => end(false);
    dialog.showModal();
    no.focus();
  });
}

export function enlarge(url, alt) {
  const dialog = byId("lightbox");
  dialog.replaceChildren(make("img", { src: url, alt }), make("button", { type: "button", class: "icon-button lightbox-close", "aria-label": "Close" }, icon("close")));
  dialog.showModal();
}

export function closeLightbox() {
  byId("lightbox").close();
}

let shownHash = "";

// Shows the topmost modal; the others wait below it.
export function showModals(modals, use, acts) {
  const dialog = byId("modal");
  const view = modals.at(-1);
  if (!view) {
    shownHash = "";
    if (dialog.open) dialog.close();
    return;
  }
  if (view.hash === shownHash) return;
  shownHash = view.hash;
  const focused = document.activeElement?.id;
  drawModal(dialog, view, modals.length, use, acts);
  if (!dialog.open) dialog.showModal();
  const wishes = [".has-error .field", focused ? `#${CSS.escape(focused)}` : ".field", ".field", ".modal-body select", ".modal-foot .primary", ".modal-close"];
  wishes.map((wish) => dialog.querySelector(wish)).find(Boolean)?.focus();
}

function drawModal(dialog, view, depth, use, acts) {
  const place = { key: view.id, view: view.id };
  const close = async () => {
    forget(place);
    await acts.close(view);
  };
  const trouble = make("div", { class: "alert alert-error modal-trouble", role: "alert", hidden: true });
  const submit = view.submit ? make("button", { type: "submit", class: "button primary" }, plainText(view.submit)) : null;
  const form = make(
    "form",
    { class: "modal-form" },
    make("header", { class: "modal-top" }, make("h2", { id: "modal-title" }, plainText(view.title)), depth > 1 ? make("span", { class: "muted" }, `${depth} of 3`) : null, make("button", { type: "button", class: "icon-button modal-close", "aria-label": "Close", onclick: close }, icon("close"))),
    make("div", { class: "modal-body" }, trouble, blocks(view.blocks, { ...use, place, errors: view.errors })),
    make("footer", { class: "modal-foot" }, make("button", { type: "button", class: "button", onclick: close }, plainText(view.close) || (submit ? "Cancel" : "Close")), submit),
  );
  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!submit || submit.getAttribute("aria-busy")) return;
    submit.setAttribute("aria-busy", "true");
    trouble.hidden = true;
    const answer = await acts.submit(view, stateOf(place));
    submit.removeAttribute("aria-busy");
    if (!answer.ok && !String(answer.problem).startsWith("incomplete")) {
      trouble.textContent = `We had some trouble reaching alertbot (${answer.problem}). Try again?`;
      trouble.hidden = false;
    }
  });
  dialog.replaceChildren(form);
  dialog.oncancel = (event) => {
    event.preventDefault();
    close();
  };
}
