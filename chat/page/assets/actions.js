// What can be done with each message: copy and edit it, and with the last reply, ask again or take
// the turn back. Gradio's own buttons do the same with what it was given to draw, which is not what
// was said.
import { ask } from "./asking.js";
import { byId, find, findAll, make, press } from "./dom.js";
import { facts, onFacts } from "./facts.js";
import { byLanguage, t } from "./lang.js";
import { mention, unmention } from "./mentions.js";
import { current } from "./shown.js";

const SAID_MS = 1500; // that "Copied" stands at a button
const ICONS = {
  "Copy message": "M8 8h11v11H8zM16 8V5H5v11h3",
  Edit: "M4 20l1-4L16 5l3 3L8 19zM13.5 7.5l3 3",
  Retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.2M20 4.5v4.7h-4.7",
  "About this reply": "M12 3.5a8.5 8.5 0 1 0 .01 0zM12 11v5.5M12 7.6v.1",
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
  const node = facts().nodes[rows().indexOf(row)];
  const answer = await fetch(`./farmesh/chat/${current()}/message/${node}`);
  return { node, ...(answer.ok ? await answer.json() : { text: "", answer: "" }) };
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
const save = (row, node, before, text) => {
  unsaved = { node, before, text };
  ask("fm-edit", { node, text });
  close(row);
};

export const edit = async (row) => {
  if (row.classList.contains("fm-editing")) return find("textarea", row).focus();
  const { node, text } = await said(row);
  const refused = unsaved?.node === node && unsaved.before === text;
  const mine = row.matches(".user-row");
  const box = make("textarea", { "aria-label": t("Edit"), rows: "2", dir: "auto" });
  box.value = refused ? unsaved.text : text;
  const done = () => save(row, node, text, box.value);
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

// --- versions, and how a reply came about ---------------------------------------------------------
const pager = (node, version, versions) => {
  const step = (by, label, sign, isThere) => {
    const onclick = () => ask("fm-version", { node, by });
    const attributes = { type: "button", class: "fm-act", "aria-label": t(label), title: t(label) };
    const one = make("button", { ...attributes, onclick }, sign);
    one.disabled = !isThere;
    return one;
  };
  return make(
    "span",
    { class: "fm-pager", role: "group", "aria-label": t(`Version ${version} of ${versions}`) },
    step(-1, "Earlier version", "‹", version > 1),
    make("span", {}, `${version} / ${versions}`),
    step(1, "Later version", "›", version < versions),
  );
};

const when = (time) =>
  time
    ? new Date(1000 * time).toLocaleString(byLanguage, { dateStyle: "medium", timeStyle: "short" })
    : "";
const about = async (row, target) => {
  const shown = find(".fm-about", row);
  target.setAttribute("aria-expanded", String(!shown));
  if (shown) return shown.remove();
  const { note, made, time } = await said(row);
  const lines = [when(time), note && t(note), made && t(`Made with ${made}.`)].filter(Boolean);
  const place = make("div", { class: "fm-about" });
  place.append(...(lines.length ? lines : [t("Nothing is known of this one.")])
    .map((line) => make("p", {}, line)));
  row.append(place);
};

// --- which message has which ----------------------------------------------------------------------
const begin = (row) => {
  const pen = button("Edit", () => edit(row)),
    copies = button("Copy message", () => copy(row, copies));
  pen.classList.add("fm-pen");
  const told = row.matches(".user-row")
    ? []
    : [button("About this reply", () => about(row, told[0]))];
  const place = make("div", { class: "fm-actions" }, copies, pen, ...told);
  row.append(place);
  return place;
};
const endings = (isCut) => {
  const again = button("Retry", () => press("fm-retry"));
  const back = button("Undo", () => press("fm-undo"));
  const onclick = () => press("fm-continue");
  const more = make("button", { type: "button", class: "fm-more", onclick }, t("Continue"));
  const all = [again, back, ...(isCut ? [more] : [])];
  for (const one of all) one.classList.add("fm-ending");
  return all;
};
const tend = (row, node, isLast) => {
  const place = find(":scope > .fm-actions", row) || begin(row);
  const { versions, cut } = facts(), [version, of] = versions[node] || [1, 1];
  const state = JSON.stringify([node, version, of, isLast, isLast && cut]);
  if (place.dataset.state === state) return;
  place.dataset.state = state;
  findAll(".fm-ending, .fm-pager", place).forEach((one) => one.remove());
  if (of > 1) place.prepend(pager(node, version, of));
  if (isLast) place.append(...endings(cut));
};

// Gradio names a message by the text that it was given to draw.
const name = (box) => {
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", t(box.dataset.testid === "user" ? "Your message" : "Reply"));
};

const tendAll = () => {
  const all = rows(), { nodes, first } = facts();
  const memory = t("What stands above, the model does not see any more.");
  all.forEach((row, place) => {
    const begins = first !== undefined && nodes[place] === first && nodes[place - 1] !== first;
    row.classList.toggle("fm-first-seen", begins);
    if (begins) row.dataset.memory = memory;
    // A thought stands in a box of its own before what it led to.
    const isWhole = nodes[place + 1] !== nodes[place];
    if (isWhole) tend(row, nodes[place], place === all.length - 1);
    else find(":scope > .fm-actions", row)?.remove();
  });
  for (const box of findAll("#fm-history .message > [data-testid]")) name(box);
};
const OURS = ".fm-actions, .fm-edit, .fm-about";
const isTheirs = ({ target, addedNodes, removedNodes }) => {
  const nodes = [...addedNodes, ...removedNodes];
  return !target.closest?.(OURS) && !(nodes.length && nodes.every((node) => node.matches?.(OURS)));
};

export const tendMessages = () => {
  onFacts(({ redo }) => {
    tendAll();
    const act = () => press("fm-redo");
    if (redo) mention("redo", "A turn was taken back.", { label: "Bring it back", act });
    else unmention("redo");
  });
  new MutationObserver((changes) => {
    if (!changes.some(isTheirs)) return;
    for (const row of findAll(".fm-editing")) if (row.dataset.chat !== current()) close(row);
    tendAll();
  }).observe(byId("fm-history"), { childList: true, subtree: true, characterData: true });
};
