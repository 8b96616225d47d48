// The list of kept conversations: search, names, menus. Built from nodes, never from markup.
import { byId, find, findAll, make } from "./dom.js";
import * as kept from "./keeping.js";
import { t } from "./lang.js";
import { open } from "./opening.js";
import { LIST } from "./shelves.js";
import { current, freshId } from "./shown.js";
import { exportChat, importChat } from "./transfer.js";

const SAID_MS = 5000; // that a sentence stands below the list
let search = "", found = null; // ids that contain what is searched for
let drawnState = "";

const say = (text) => {
  const place = byId("fm-chats-said");
  if (!place) return;
  place.textContent = text;
  setTimeout(() => {
    place.textContent = "";
  }, SAID_MS);
};

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
  await kept.forget(entry.id);
  if (entry.id === current()) open(freshId());
  draw();
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
  const onclick = () => open(entry.id);
  const link = make("button", { type: "button", class: "fm-open", onclick }, entry.title);
  if (here) link.setAttribute("aria-current", "true");
  node.append(link, menu(entry, node));
  return node;
};

const look = async (wanted) => {
  search = wanted;
  const answer = wanted ? await kept.search(wanted) : null;
  if (search !== wanted) return; // typed on meanwhile
  found = answer && new Set(answer.map((entry) => entry.id));
  draw();
};
const take = async (file) => {
  try {
    open(await importChat(file));
  } catch {
    say("This file is not a conversation exported here.");
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
    make("p", { id: "fm-chats-said", class: "fm-quiet", role: "status" }),
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
  place.replaceChildren(...entries.map(row));
  if (id) find(`[data-id="${id}"] ${kind}`, place)?.focus();
};
const draw = () => {
  const root = byId("fm-chats");
  if (!root) return;
  if (!root.childElementCount) drawTools(root);
  byId("fm-temporary").checked = kept.isTemporary(current());
  // Never under somebody's hand: while a title is typed or a menu is open, the list stays as it is.
  if (find("#fm-chat-list input, .fm-menu[open]", root)) return;
  const shown = kept.list().filter((entry) => !found || found.has(entry.id));
  const state = JSON.stringify([current(), shown]);
  if (state === drawnState) return; // a click that has begun must find its row again
  drawnState = state;
  drawRows(byId("fm-chat-list"), shown);
};

export const drawList = () => kept.begin().then(draw);
export const tendList = () => {
  kept.onChange(drawList);
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
