// The list of kept conversations: search, names, menus. Built from nodes, never from markup.
import { byId, find, findAll, make } from "./dom.js";
import * as kept from "./keeping.js";
import { dropDraft } from "./drafts.js";
import { headingOf, inOrder } from "./groups.js";
import { t } from "./lang.js";
import { mention, unmention } from "./mentions.js";
import { open } from "./opening.js";
import { showFound } from "./log.js";
import { LIST } from "./shelves.js";
import { current, freshId, onAddress, writing } from "./shown.js";
import { exportChat, importChat } from "./transfer.js";

const BACK_MS = 60_000; // in which a chat that was deleted can be brought back
const TITLE = "FarMesh Chat";
let search = "", found = null; // what contains what is searched for
let drawnState = "";

const rename = (entry, row) => {
  const field = make("input", { type: "text", "aria-label": "Title", maxlength: "80" });
  field.value = entry.title;
  let finished = false; // leaving the field comes after Enter and Escape too
  const done = async (take) => {
    if (finished) return;
    finished = true;
    const title = take && field.value.trim();
    const data = title && await kept.read(entry.id);
    row.replaceChildren();
    drawnState = "";
    if (data) await kept.keep(entry.id, data, title);
    draw();
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") done(true);
    if (event.key === "Escape") done(false);
  });
  field.addEventListener("blur", () => done(true));
  row.replaceChildren(field);
  field.focus();
  field.select();
};

const forget = async (entry) => {
  const isHere = entry.id === current();
  if (isHere) await kept.save();
  const data = await kept.read(entry.id);
  await kept.forget(entry.id);
  dropDraft(entry.id);
  if (isHere) open(freshId());
  draw();
  const act = async () => {
    await kept.put(entry, data);
    open(entry.id);
  };
  mention("deleted", "The chat was deleted.", { label: "Undo", act, ms: BACK_MS });
};

const placeMenu = ({ target }) => {
  const { right, bottom } = target.getBoundingClientRect();
  const box = find("div", target);
  box.style.left = `${Math.max(8, right - box.offsetWidth)}px`;
  box.style.top = `${Math.min(bottom + 2, innerHeight - box.offsetHeight - 8)}px`;
};
const menu = (entry, row) => {
  const item = (label, act) => {
    const onclick = (event) => {
      event.stopPropagation();
      if (act() !== "stay") find("details", row)?.removeAttribute("open");
    };
    return make("button", { type: "button", onclick }, label);
  };
  let sure = false;
  const removal = item("Delete", () => {
    if (sure) return forget(entry);
    sure = true;
    removal.textContent = t("Really delete?");
    return "stay";
  });
  const ontoggle = (event) => {
    if (event.target.open) return placeMenu(event);
    sure = false;
    removal.textContent = t("Delete");
    draw(); // what changed while it was open
  };
  const items = [
    item(entry.pinned ? "Unpin" : "Pin", () => kept.pin(entry, !entry.pinned)),
    item("Rename", () => rename(entry, row)),
    item("Export JSON", () => exportChat(entry, "json")),
    item("Export Markdown", () => exportChat(entry, "md")),
    removal,
  ];
  const handle = make("summary", { "aria-label": `More about ${entry.title}` }, "⋯");
  return make("details", { class: "fm-menu", ontoggle }, handle, make("div", {}, ...items));
};

const row = (entry) => {
  const here = entry.id === current();
  const node = make("li", { "data-id": entry.id, ...(here ? { class: "here" } : {}) });
  const wanted = search;
  const onclick = async () => {
    await open(entry.id);
    if (entry.excerpt) showFound(wanted);
  };
  const link = make("button", { type: "button", class: "fm-open", onclick }, entry.title);
  if (here) link.setAttribute("aria-current", "true");
  if (entry.excerpt) link.append(make("small", {}, entry.excerpt));
  if (writing.has(entry.id)) node.append(make("span", { class: "fm-phase", title: t("Writing") }));
  node.append(link, menu(entry, node));
  return node;
};
const heading = (text) => make("li", { class: "fm-heading" }, t(text));
const grouped = (entries) => {
  const nodes = [];
  let before = "";
  for (const entry of entries) {
    const text = headingOf(entry);
    if (text !== before) nodes.push(heading(text));
    before = text;
    nodes.push(row(entry));
  }
  return nodes;
};

const look = async (wanted) => {
  search = wanted;
  const answer = wanted ? await kept.search(wanted) : null;
  if (search !== wanted) return; // typed on meanwhile
  found = answer;
  draw();
};
const take = async (file) => {
  const { id, refusal } = await importChat(file);
  if (refusal) mention("import", refusal);
  else {
    unmention("import");
    open(id);
  }
};
const drawTools = (root) => {
  const file = make("input", { type: "file", accept: "application/json,.json", hidden: "" });
  file.addEventListener("change", () => {
    if (file.files[0]) take(file.files[0]);
    file.value = "";
  });
  const searching = { placeholder: "Search chats", "aria-label": "Search chats" };
  const search = make("input", { type: "search", ...searching });
  search.addEventListener("input", () => look(search.value));
  const temporary = make("input", { type: "checkbox", id: "fm-temporary" });
  temporary.addEventListener("change", () => kept.setTemporary(current(), temporary.checked));
  root.append(
    search,
    make("ul", { id: "fm-chat-list", "aria-label": "Chats" }),
    make(
      "div",
      { class: "fm-chat-tools" },
      make("label", { title: "This chat is stored nowhere" }, temporary, " Temporary"),
      make("button", { type: "button", onclick: () => file.click() }, "Import"),
      file,
    ),
  );
};

const drawRows = (place, entries) => {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.closest("li")?.dataset.id;
  const kind = focused?.matches("summary") ? "summary" : ".fm-open";
  place.replaceChildren(...(found ? entries.map(row) : grouped(entries)));
  if (id) find(`[data-id="${id}"] ${kind}`, place)?.focus();
};
const drawTemporary = (on) => {
  const root = document.documentElement;
  byId("fm-temporary").checked = on;
  if (root.classList.contains("fm-temporary") === on) return;
  root.classList.toggle("fm-temporary", on);
  if (on) mention("temporary", "This chat is temporary: it is stored nowhere.");
  else unmention("temporary");
};
const draw = () => {
  const root = byId("fm-chats");
  if (!root) return;
  if (!root.childElementCount) drawTools(root);
  drawTemporary(kept.isTemporary(current()));
  // Never under somebody's hand: while a title is typed or a menu is open, the list stays as it is.
  if (find("#fm-chat-list input, .fm-menu[open]", root)) return;
  const all = kept.list(), title = all.find(({ id }) => id === current())?.title;
  document.title = title ? `${title} · ${TITLE}` : TITLE;
  const shown = found || inOrder(all);
  const today = new Date().toDateString();
  const state = JSON.stringify([current(), shown, [...writing], today]);
  if (state === drawnState) return; // a click that has begun must find its row again
  drawnState = state;
  drawRows(byId("fm-chat-list"), shown);
};

export const drawList = () => kept.begin().then(draw);
export const tendList = () => {
  kept.onChange(drawList);
  onAddress(open);
  globalThis.addEventListener("storage", ({ key }) => {
    if (key === LIST) draw();
  });
  document.addEventListener("visibilitychange", async () => {
    if (!document.hidden && await kept.reload()) draw();
  });
  document.addEventListener("click", ({ target }) => {
    for (const opened of findAll(".fm-menu[open]")) {
      if (!opened.contains(target)) opened.open = false;
    }
  });
};
