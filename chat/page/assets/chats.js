// The conversations that are kept: a list with search, names, export and import.
// They live in the browser's storage, or with the server for people who have signed in. The app has
// a chat as long as it is in use, and gets it back from there afterwards. A temporary chat is never
// stored.
"use strict";
window.farmeshChats = ({ browser, tab, open, freshId, current }) => {
  const TEMPORARY = "farmesh.temporary";
  const { t } = window.farmeshLang;
  let search = "", found = null; // ids that contain what is searched for

  const inBrowser = (() => {
    const LIST = "farmesh.chats", ONE = "farmesh.chat.";
    const list = () => { try { return JSON.parse(browser.get(LIST)) || []; } catch { return []; } };
    const text = (id) => browser.get(ONE + id) || "";
    return {
      key: LIST, list, load: async () => true,
      read: async (id) => { try { return JSON.parse(text(id)); } catch { return null; } },
      // Old chats make room when the storage is full.
      put: async (entry, data) => {
        let entries = [entry, ...list().filter((other) => other.id !== entry.id)];
        while (!(browser.set(ONE + entry.id, JSON.stringify(data)) && browser.set(LIST, JSON.stringify(entries)))) {
          const oldest = entries.filter((other) => other !== entry).sort((a, b) => a.updated - b.updated)[0];
          if (!oldest) return;
          browser.drop(ONE + oldest.id);
          entries = entries.filter((other) => other !== oldest);
        }
      },
      remove: async (id) => {
        browser.drop(ONE + id);
        browser.set(LIST, JSON.stringify(list().filter((entry) => entry.id !== id)));
      },
      find: async (wanted) => list().filter((entry) => (entry.title + text(entry.id)).toLowerCase().includes(wanted.toLowerCase())),
    };
  })();
  const onServer = (() => {
    let entries = [];
    const ask = async (path, options) => {
      const answer = await fetch(`./farmesh/kept${path}`, options);
      return answer.ok ? answer.json() : null;
    };
    return {
      list: () => entries,
      load: async () => {
        try { const answer = await ask(""); entries = answer || entries; return Boolean(answer); } catch { return false; }
      },
      read: (id) => ask(`/${id}`).catch(() => null),
      put: async (entry, data) => {
        entries = [entry, ...entries.filter((other) => other.id !== entry.id)];
        const { title, named, updated } = entry;
        await ask(`/${entry.id}`, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ title, named, updated, data }) });
      },
      remove: async (id) => {
        entries = entries.filter((entry) => entry.id !== id);
        await ask(`/${id}`, { method: "DELETE" });
      },
      find: (wanted) => ask(`?search=${encodeURIComponent(wanted.slice(0, 200))}`).catch(() => null),
    };
  })();
  let shelf = inBrowser;
  const ready = (async () => {
    if (document.getElementById("fm-chats")?.dataset.kept !== "server") return;
    shelf = onServer;
    if (!(await shelf.load())) begun = null; // asked for again when the list is next needed
  });
  let begun = null; // the place for the list is drawn by Gradio, some time after this script ran
  const begin = () => (begun ||= ready());

  const isTemporary = (id) => (tab.get(TEMPORARY) || "").split(" ").includes(id);
  const setTemporary = async (id, on) => {
    const others = (tab.get(TEMPORARY) || "").split(" ").filter((other) => other && other !== id);
    tab.set(TEMPORARY, [...others, ...(on ? [id] : [])].join(" "));
    await (on ? shelf.remove(id) : save());
    draw();
  };
  const titleOf = (messages) => {
    const first = messages.find((message) => message.role === "user")?.text.trim().split("\n")[0] || t("New chat");
    return first.length > 48 ? first.slice(0, 47) + "…" : first;
  };
  const keep = async (id, data, title) => {
    const known = shelf.list().find((entry) => entry.id === id);
    if (known && !title && JSON.stringify(await shelf.read(id)) === JSON.stringify(data)) return;
    const named = title || (known?.named && known.title);
    await shelf.put({ id, title: named || titleOf(data.messages), named: Boolean(named), updated: Date.now() }, data);
    draw();
  };

  // Whether its reply is still being written, so that there will be more to keep.
  const save = async (id = current()) => {
    await begin();
    if (isTemporary(id)) return false;
    try {
      const answer = await fetch(`./farmesh/chat/${id}`);
      if (!answer.ok) return false;
      const { running, ...data } = await answer.json();
      if (!data.messages.length) return running;
      // Should the app have forgotten the chat and begun anew: what was kept stays, by itself.
      const before = await shelf.read(id), kept = before?.messages || [];
      if (kept.length > data.messages.length && kept[0].text !== data.messages[0].text) await keep(freshId(), before);
      await keep(id, data);
      return running;
    } catch { return true; /* the app is away; the next change saves */ }
  };
  // The app has forgotten this chat (or never had it): give it what was kept.
  const bringBack = async (id) => {
    await begin();
    const data = await shelf.read(id);
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
    const data = await shelf.read(entry.id);
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
      const text = (value) => typeof value === "string" ? value : "";
      await keep(id, { system: text(data.system), model: text(data.model), messages: data.messages }, typeof data.title === "string" ? data.title.slice(0, 80) : undefined);
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
    const done = async (take) => {
      if (finished) return;
      finished = true;
      const title = take && field.value.trim(), data = title && await shelf.read(entry.id);
      row.replaceChildren();
      drawnState = "";
      if (data) await keep(entry.id, data, title);
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
    await shelf.remove(entry.id);
    await fetch(`./farmesh/chat/${entry.id}`, { method: "DELETE" }).catch(() => {});
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
      removal.textContent = t("Really delete?");
      return "stay";
    });
    const place = (event) => {
      const { right, bottom } = event.target.getBoundingClientRect(), box = event.target.querySelector("div");
      box.style.left = `${Math.max(8, right - box.offsetWidth)}px`;
      box.style.top = `${Math.min(bottom + 2, innerHeight - box.offsetHeight - 8)}px`;
    };
    const toggled = (event) => {
      if (event.target.open) return place(event);
      sure = false;
      removal.textContent = t("Delete");
      draw(); // what changed while it was open
    };
    return make("details", { class: "fm-menu", ontoggle: toggled }, make("summary", { "aria-label": `More about ${entry.title}` }, "⋯"),
      make("div", {}, item("Rename", () => rename(entry, row)), item("Export JSON", () => exportOne(entry, "json")),
        item("Export Markdown", () => exportOne(entry, "md")), removal));
  };
  const row = (entry) => {
    const node = make("li", { "data-id": entry.id, ...(entry.id === current() ? { class: "here" } : {}) });
    const link = make("button", { type: "button", class: "fm-open", onclick: () => open(entry.id) }, entry.title);
    if (entry.id === current()) link.setAttribute("aria-current", "true");
    node.append(link, menu(entry, node));
    return node;
  };
  const look = async (wanted) => {
    search = wanted;
    const answer = wanted ? await shelf.find(wanted) : null;
    if (search !== wanted) return; // typed on meanwhile
    found = answer && new Set(answer.map((entry) => entry.id));
    draw();
  };
  const drawTools = (root) => {
    const file = make("input", { type: "file", accept: "application/json,.json", hidden: "", onchange: () => { if (file.files[0]) importFile(file.files[0]); file.value = ""; } });
    const find = make("input", { type: "search", placeholder: "Search chats", "aria-label": "Search chats", oninput: () => look(find.value) });
    const temporary = make("input", { type: "checkbox", id: "fm-temporary", onchange: () => setTemporary(current(), temporary.checked) });
    root.append(find, make("ul", { id: "fm-chat-list", "aria-label": "Chats" }), make("p", { id: "fm-chats-said", class: "fm-quiet", role: "status" }),
      make("div", { class: "fm-chat-tools" }, make("label", { title: "This chat is stored nowhere" }, temporary, " Temporary"),
        make("button", { type: "button", onclick: () => file.click() }, "Import"), file));
  };
  let drawnState = "";
  const draw = () => {
    const root = document.getElementById("fm-chats");
    if (!root) return;
    if (!root.childElementCount) drawTools(root);
    document.getElementById("fm-temporary").checked = isTemporary(current());
    // Never under somebody's hand: while a title is typed or a menu is open, the list stays as it is.
    if (root.querySelector("#fm-chat-list input, .fm-menu[open]")) return;
    const shown = shelf.list().filter((entry) => !found || found.has(entry.id)), state = JSON.stringify([current(), shown]);
    if (state === drawnState) return; // a click that has begun must find its row again
    drawnState = state;
    const place = root.querySelector("#fm-chat-list"), focused = place.contains(document.activeElement) ? document.activeElement : null;
    const id = focused?.closest("li")?.dataset.id, kind = focused?.matches("summary") ? "summary" : ".fm-open";
    place.replaceChildren(...shown.map(row));
    if (id) place.querySelector(`[data-id="${id}"] ${kind}`)?.focus();
  };
  window.addEventListener("storage", (event) => { if (event.key === inBrowser.key) draw(); });
  document.addEventListener("visibilitychange", async () => { if (!document.hidden && begun) { await shelf.load(); draw(); } });
  document.addEventListener("click", (event) => {
    for (const opened of document.querySelectorAll(".fm-menu[open]")) if (!opened.contains(event.target)) opened.open = false;
  });
  return { draw: () => begin().then(draw), save, bringBack, isTemporary, has: (id) => shelf.list().some((entry) => entry.id === id) };
};
