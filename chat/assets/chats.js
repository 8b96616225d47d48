// The conversations that this browser keeps: a list with search, names, export and import.
// They live in local storage only; the server has a chat as long as it is in use, and gets it
// back from here afterwards. A temporary chat is never stored.
"use strict";
window.farmeshChats = ({ browser, tab, open, freshId, current }) => {
  const LIST = "farmesh.chats", ONE = "farmesh.chat.", TEMPORARY = "farmesh.temporary";
  const list = () => { try { return JSON.parse(browser.get(LIST)) || []; } catch { return []; } };
  const read = (id) => { try { return JSON.parse(browser.get(ONE + id)); } catch { return null; } };
  let search = "";

  const isTemporary = (id) => (tab.get(TEMPORARY) || "").split(" ").includes(id);
  const setTemporary = (id, on) => {
    const others = (tab.get(TEMPORARY) || "").split(" ").filter((other) => other && other !== id);
    tab.set(TEMPORARY, [...others, ...(on ? [id] : [])].join(" "));
    if (on) remove(id); else save();
    draw();
  };

  // Old chats make room when the browser's storage is full.
  const put = (id, data, entries) => {
    for (;;) {
      if (browser.set(ONE + id, JSON.stringify(data)) && browser.set(LIST, JSON.stringify(entries))) return true;
      const oldest = entries.filter((entry) => entry.id !== id).sort((a, b) => a.updated - b.updated)[0];
      if (!oldest) return false;
      browser.drop(ONE + oldest.id);
      entries = entries.filter((entry) => entry !== oldest);
    }
  };
  const titleOf = (messages) => {
    const first = messages.find((message) => message.role === "user")?.text.trim().split("\n")[0] || "Empty chat";
    return first.length > 48 ? first.slice(0, 47) + "…" : first;
  };
  const keep = (id, data, title) => {
    const entries = list(), known = entries.find((entry) => entry.id === id);
    const same = known && browser.get(ONE + id) === JSON.stringify(data);
    if (same && !title) return;
    const named = title || (known?.named && known.title);
    const entry = { id, title: named || titleOf(data.messages), named: Boolean(named), updated: Date.now() };
    put(id, data, [entry, ...entries.filter((other) => other.id !== id)]);
    draw();
  };
  const remove = (id) => {
    browser.drop(ONE + id);
    browser.set(LIST, JSON.stringify(list().filter((entry) => entry.id !== id)));
  };

  const save = async () => {
    const id = current();
    if (isTemporary(id)) return;
    try {
      const answer = await fetch(`./farmesh/chat/${id}`);
      if (!answer.ok) return;
      const data = await answer.json();
      if (!data.messages.length) return;
      // Should the app have forgotten the chat and begun anew: what was kept stays, by itself.
      const kept = read(id)?.messages || [];
      if (kept.length > data.messages.length && kept[0].text !== data.messages[0].text) keep(freshId(), read(id));
      keep(id, data);
    } catch { /* the app is away; the next change saves */ }
  };
  // The server has forgotten this chat (or never had it): give it what the browser kept.
  const bringBack = async (id) => {
    const data = read(id);
    if (!data?.messages?.length) return;
    try {
      await fetch(`./farmesh/chat/${id}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data) });
    } catch { /* shown as not answering by the state line */ }
  };

  // --- export and import ----------------------------------------------------------------------
  const download = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const fileName = (title) => title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 40) || "chat";
  const asMarkdown = (title, data) => [`# ${title}`, ...(data.system ? [`> ${data.system.replace(/\n/g, "\n> ")}`] : []),
    ...data.messages.map((m) => `**${m.role === "user" ? "You" : "Model"}**\n\n${m.text}`)].join("\n\n") + "\n";
  const exportOne = async (entry, kind) => {
    if (entry.id === current()) await save();
    const data = read(entry.id);
    if (!data) return;
    if (kind === "md") download(`${fileName(entry.title)}.md`, "text/markdown", asMarkdown(entry.title, data));
    else download(`${fileName(entry.title)}.json`, "application/json", JSON.stringify({ title: entry.title, ...data }, null, 1));
  };
  const importFile = async (file) => {
    try {
      const data = JSON.parse(await file.text());
      const good = Array.isArray(data.messages) && data.messages.length && data.messages.every((m) => ["user", "assistant"].includes(m.role) && typeof m.text === "string");
      if (!good) throw new Error("no messages");
      const id = freshId();
      keep(id, { system: typeof data.system === "string" ? data.system : "", messages: data.messages }, typeof data.title === "string" ? data.title.slice(0, 80) : undefined);
      open(id);
    } catch { say("This file is not a conversation exported here."); }
  };

  // --- drawing: built from nodes, never from markup -------------------------------------------
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const say = (text) => {
    const place = document.getElementById("fm-chats-said");
    if (place) { place.textContent = text; setTimeout(() => { place.textContent = ""; }, 5000); }
  };
  const rename = (entry, row) => {
    const field = make("input", { type: "text", "aria-label": "Title", maxlength: "80" });
    field.value = entry.title;
    let finished = false; // leaving the field comes after Enter and Escape too
    const done = (take) => {
      if (finished) return;
      finished = true;
      row.replaceChildren();
      const data = read(entry.id);
      if (take && field.value.trim() && data) keep(entry.id, data, field.value.trim());
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
  const forget = (entry) => {
    remove(entry.id);
    fetch(`./farmesh/chat/${entry.id}`, { method: "DELETE" }).catch(() => {});
    if (entry.id === current()) open(freshId());
    draw();
  };
  const menu = (entry, row) => {
    const item = (label, act) => make("button", { type: "button", onclick: (event) => {
      event.stopPropagation();
      if (act() !== "stay") row.querySelector("details")?.removeAttribute("open");
    } }, label);
    let sure = false;
    const removal = item("Delete", () => {
      if (sure) return forget(entry);
      sure = true;
      removal.textContent = "Really delete?";
      return "stay";
    });
    const place = (event) => {
      const { right, bottom } = event.target.getBoundingClientRect(), box = event.target.querySelector("div");
      box.style.left = `${Math.max(8, right - box.offsetWidth)}px`;
      box.style.top = `${Math.min(bottom + 2, innerHeight - box.offsetHeight - 8)}px`;
    };
    return make("details", { class: "fm-menu", ontoggle: place }, make("summary", { "aria-label": `More about ${entry.title}` }, "⋯"),
      make("div", {}, item("Rename", () => rename(entry, row)), item("Export JSON", () => exportOne(entry, "json")),
        item("Export Markdown", () => exportOne(entry, "md")), removal));
  };
  const row = (entry) => {
    const node = make("li", entry.id === current() ? { class: "here" } : {});
    const link = make("button", { type: "button", class: "fm-open", onclick: () => open(entry.id) }, entry.title);
    if (entry.id === current()) link.setAttribute("aria-current", "true");
    node.append(link, menu(entry, node));
    return node;
  };
  const matches = (entry) => {
    const wanted = search.toLowerCase();
    return !wanted || entry.title.toLowerCase().includes(wanted) || (browser.get(ONE + entry.id) || "").toLowerCase().includes(wanted);
  };
  const drawTools = (root) => {
    const file = make("input", { type: "file", accept: "application/json,.json", hidden: "", onchange: () => { if (file.files[0]) importFile(file.files[0]); file.value = ""; } });
    const find = make("input", { type: "search", placeholder: "Search chats", "aria-label": "Search chats", oninput: () => { search = find.value; draw(); } });
    const temporary = make("input", { type: "checkbox", id: "fm-temporary", onchange: () => setTemporary(current(), temporary.checked) });
    root.append(find, make("ul", { id: "fm-chat-list", "aria-label": "Chats" }), make("p", { id: "fm-chats-said", class: "fm-quiet", role: "status" }),
      make("div", { class: "fm-chat-tools" }, make("label", { title: "This chat is stored nowhere" }, temporary, " Temporary"),
        make("button", { type: "button", onclick: () => file.click() }, "Import"), file));
  };
  const draw = () => {
    const root = document.getElementById("fm-chats");
    if (!root) return;
    if (!root.childElementCount) drawTools(root);
    document.getElementById("fm-temporary").checked = isTemporary(current());
    if (root.querySelector("#fm-chat-list input")) return; // a title is being typed
    root.querySelector("#fm-chat-list").replaceChildren(...list().filter(matches).map(row));
  };
  window.addEventListener("storage", (event) => { if (event.key === LIST) draw(); });
  document.addEventListener("click", (event) => {
    for (const opened of document.querySelectorAll(".fm-menu[open]")) if (!opened.contains(event.target)) opened.open = false;
  });
  return { draw, save, bringBack, has: (id) => Boolean(read(id)?.messages?.length) };
};
