// What can be done with each message: copy and edit it, and with the last reply, ask again or take
// the turn back. Gradio's own buttons do the same with what it was given to draw, which is not what
// was said.
import { byId, find, findAll, make, press, setValue, taken } from "./dom.js";
import { t } from "./lang.js";
import { current } from "./shown.js";

const SAID_MS = 1500; // that "Copied" stands at a button
const ICONS = {
  "Copy message": "M8 8h11v11H8zM16 8V5H5v11h3",
  Edit: "M4 20l1-4L16 5l3 3L8 19zM13.5 7.5l3 3",
  Retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.2M20 4.5v4.7h-4.7",
  Undo: "M9 5L4.5 9.5 9 14M4.5 9.5H15a5 5 0 0 1 0 10h-4",
};

const icon = (path) => {
  const [picture, line] = ["svg", "path"].map((tag) =>
    document.createElementNS("http://www.w3.org/2000/svg", tag)
  );
  picture.setAttribute("viewBox", "0 0 24 24");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
};
const button = (name, onclick) => {
  const label = t(name);
  const attributes = { type: "button", class: "fm-act", "aria-label": label, title: label };
  return make("button", { ...attributes, onclick }, icon(ICONS[name]));
};

const rows = () => findAll("#fm-history .message-row");
const said = async (row) => {
  const index = rows().indexOf(row);
  const answer = await fetch(`./farmesh/chat/${current()}/box/${index}`);
  return { index, ...(answer.ok ? await answer.json() : { text: "", answer: "" }) };
};

const copy = async (row, target) => {
  const { answer } = await said(row);
  try {
    await navigator.clipboard.writeText(answer);
    target.classList.add("done");
    setTimeout(() => target.classList.remove("done"), SAID_MS);
  } catch {
    getSelection().selectAllChildren(find(".message", row)); // Ctrl+C does it now
  }
};

// --- editing: in the message's place, as wide as the column ---------------------------------------
let unsaved = null; // what was last sent to be saved, and in whose place

const close = (row) => {
  row.classList.remove("fm-editing");
  find(".fm-edit", row)?.remove();
  find(".fm-pen", row)?.focus();
};
const save = async (row, index, before, text) => {
  unsaved = { chat: current(), index, before, text };
  setValue(find("#fm-edited textarea, #fm-edited input"), JSON.stringify({ index, text }));
  close(row);
  await taken();
  press("fm-edit");
};

export const edit = async (row) => {
  if (row.classList.contains("fm-editing")) return find("textarea", row).focus();
  const { index, text } = await said(row);
  const isSame = unsaved?.chat === current() && unsaved.index === index;
  const refused = isSame && unsaved.before === text;
  const mine = row.matches(".user-row");
  const box = make("textarea", { "aria-label": t("Edit"), rows: "2", dir: "auto" });
  box.value = refused ? unsaved.text : text;
  const done = () => save(row, index, text, box.value);
  box.addEventListener("keydown", (event) => {
    const { key, shiftKey, ctrlKey, metaKey, isComposing } = event;
    event.stopPropagation(); // Escape ends the editing, not the reply
    if (key === "Escape") close(row);
    else if (key === "Enter" && !isComposing && (ctrlKey || metaKey || (mine && !shiftKey))) {
      event.preventDefault();
      done();
    }
  });
  const buttons = make(
    "div",
    {},
    make("button", { type: "button", class: "fm-save", onclick: done }, t("Save")),
    make("button", { type: "button", onclick: () => close(row) }, t("Cancel")),
  );
  row.classList.add("fm-editing");
  row.dataset.chat = current();
  row.append(make("div", { class: "fm-edit" }, box, buttons));
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
  row.scrollIntoView({ block: "nearest" });
};

// --- which message has which ----------------------------------------------------------------------
const tend = (row, isLast) => {
  let place = find(":scope > .fm-actions", row);
  if (!place) {
    const pen = button("Edit", () => edit(row));
    pen.classList.add("fm-pen");
    const copies = button("Copy message", () => copy(row, copies));
    place = make("div", { class: "fm-actions" }, copies, pen);
    row.append(place);
  }
  const endings = findAll(".fm-ending", place);
  if (isLast && !endings.length) {
    const again = button("Retry", () => press("fm-retry"));
    const back = button("Undo", () => press("fm-undo"));
    for (const one of [again, back]) one.classList.add("fm-ending");
    place.append(again, back);
  } else if (!isLast) endings.forEach((one) => one.remove());
};

// Gradio names a message by the text that it was given to draw.
const name = (box) => {
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", t(box.dataset.testid === "user" ? "Your message" : "Reply"));
};

const tendAll = () => {
  const all = rows();
  all.forEach((row, place) => tend(row, place === all.length - 1));
  for (const box of findAll("#fm-history .message > [data-testid]")) name(box);
};
const OURS = ".fm-actions, .fm-edit";
const isTheirs = ({ target, addedNodes, removedNodes }) => {
  const nodes = [...addedNodes, ...removedNodes];
  return !target.closest?.(OURS) && !(nodes.length && nodes.every((node) => node.matches?.(OURS)));
};

export const tendMessages = () => {
  tendAll();
  new MutationObserver((changes) => {
    if (!changes.some(isTheirs)) return;
    for (const row of findAll(".fm-editing")) if (row.dataset.chat !== current()) close(row);
    tendAll();
  }).observe(byId("fm-history"), { childList: true, subtree: true, characterData: true });
};
