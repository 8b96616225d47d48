// The page's own script: which chat this tab shows, drawers, keys, the swarm's state.
// Gradio draws the conversation; this file never touches its text.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const { t } = window.farmeshLang;
  const byId = (id) => document.getElementById(id);

  // --- storage that may be forbidden --------------------------------------------------------
  const kept = (area) => ({
    get: (key) => { try { return window[area].getItem(key); } catch { return null; } },
    set: (key, value) => { try { window[area].setItem(key, value); return true; } catch { return false; } },
    drop: (key) => { try { window[area].removeItem(key); } catch { /* nothing kept */ } },
  });
  const tab = kept("sessionStorage"), browser = kept("localStorage");

  // --- which chat this tab shows: 256 random bits, known to this tab and the server ----------
  const freshId = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  };
  const left = new Set(); // chats that were left and may have a reply that is not kept yet
  let chatId = tab.get("farmesh.chat") || "";
  if (!/^[A-Za-z0-9_-]{43}$/.test(chatId)) chatId = freshId();
  tab.set("farmesh.chat", chatId);

  const setValue = (field, value) => {
    const proto = field instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(proto.prototype, "value").set.call(field, value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const press = (id) => { const b = byId(id); (b?.matches("button") ? b : b?.querySelector("button"))?.click(); };

  let picked = ""; // the model just chosen for this chat; otherwise only a wish for new chats
  const tellChat = () => {
    setValue($("#fm-chat-id textarea, #fm-chat-id input"), chatId);
    setValue($("#fm-model-id textarea, #fm-model-id input"), picked || `~${browser.get("farmesh.model") || ""}`);
  };
  // The model chosen last is that of new chats too.
  document.addEventListener("change", async ({ target }) => {
    if (target.id !== "fm-model") return;
    browser.set("farmesh.model", picked = target.value);
    tellChat(); // a message that is sent now brings it along
    await taken();
    press("fm-use-model");
    await taken();
    if (picked === target.value) picked = "";
    setTimeout(pulse, 300);
  });
  // Gradio takes a value in one of the next frames; a hidden tab has no frames, only timers.
  const taken = () => new Promise((done) => {
    const soon = () => setTimeout(done, 30);
    if (document.hidden) setTimeout(soon, 100);
    else requestAnimationFrame(() => requestAnimationFrame(soon));
  });
  let asked = 0; // when this page last asked to be shown its chat
  const show = async (how) => {
    asked = Date.now();
    tellChat();
    await taken();
    press(how);
  };
  const attach = () => show("fm-attach"); // with its system prompt
  const watchAgain = () => show("fm-watch"); // what is written into the settings stays
  // Gradio's way to the server takes longer than some tokens do.
  const stop = async () => {
    let texts = [];
    try { ({ texts } = await (await fetch(`./farmesh/stop?chat=${chatId}`, { method: "POST" })).json()); } catch { pulse(); }
    if (behind) watchAgain();
    const box = messageBox(); // what waited behind the reply is given back
    if (texts.length) setValue(box, [...texts, ...(box.value ? [box.value] : [])].join("\n"));
  };
  const open = async (id) => {
    left.add(chatId);
    chatId = id;
    picked = "";
    tab.set("farmesh.chat", id);
    follow = true;
    await chats?.bringBack(id);
    await attach();
    pulse();
    toggle("side", false);
    messageBox()?.focus();
    chats?.draw();
  };

  // --- look: drawers, dark ------------------------------------------------------------------
  const toggle = (name, on) => document.documentElement.classList.toggle(`fm-${name}-open`, on);
  let isDark;
  const dark = (on) => {
    isDark = on;
    document.documentElement.classList.toggle("dark", on);
    document.body?.classList.toggle("dark", on);
  };
  const wish = new URLSearchParams(location.search).get("__theme") || browser.get("farmesh.theme");
  dark(wish ? wish === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);

  document.addEventListener("click", (event) => {
    for (const name of ["side", "tune"]) { // a tap beside an open drawer closes it
      const drawer = byId(`fm-${name}`), over = drawer && getComputedStyle(drawer).position === "fixed";
      if (over && !drawer.contains(event.target) && !event.target.closest?.("[data-toggle], [role=listbox], .options")) toggle(name, false);
    }
    const target = event.target.closest?.("[data-toggle], [data-click], [data-copy], #fm-new, #fm-stop");
    if (!target) return;
    if (target.id === "fm-stop") { stop(); return; }
    if (target.id === "fm-new") { event.preventDefault(); open(freshId()); return; }
    const { toggle: name, click } = target.dataset;
    if (name === "dark") {
      dark(!isDark);
      browser.set("farmesh.theme", isDark ? "dark" : "light");
    } else if (name) toggle(name);
    else if (click) press(click);
    else copy(target);
  });
  const copy = async (button) => {
    const text = button.parentElement.querySelector("pre code").textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = t("Copied"); }
    catch { button.textContent = t("Press Ctrl+C"); getSelection().selectAllChildren(button.parentElement.querySelector("pre code")); }
    setTimeout(() => { button.textContent = t("Copy"); }, 1500);
  };

  // --- the log stays at its end unless the person scrolls up ---------------------------------
  let follow = true;
  const keepEnd = (log) => {
    // Only a person scrolls up; that the text below grows meanwhile is no wish to stay behind.
    let lastTop = log.scrollTop, asked = 0;
    log.addEventListener("scroll", () => {
      if (log.scrollHeight - log.scrollTop - log.clientHeight < 60) follow = true;
      else if (log.scrollTop < lastTop - 2) follow = false;
      lastTop = log.scrollTop;
    }, { passive: true });
    const mine = log.getElementsByClassName("user-row");
    let waiting = false;
    const end = () => {
      if (waiting || !follow) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; if (follow) log.scrollTop = log.scrollHeight; });
    };
    // Only what has changed is looked at: the cost of a token must not grow with the chat.
    new MutationObserver((changes) => {
      const seen = new Set(changes.map(({ target }) => target.nodeType === 1 ? target : target.parentElement));
      for (const place of seen) if (place) harmless(place);
      heard();
      if (mine.length > asked) follow = true; // who sends something wants to see what comes of it
      asked = mine.length;
      end();
    }).observe(log, { childList: true, subtree: true, characterData: true });
    const sizes = new ResizeObserver(end);
    for (const part of [log, byId("fm-history")]) sizes.observe(part);
    end();
  };

  // --- for screen readers: a growing reply is read out once, when it is complete; examples are
  // buttons in a group, which Gradio calls a list without entries --------------------------------
  const heard = () => {
    for (const log of document.querySelectorAll("#fm-live [role=log]:not([aria-live=off])")) log.setAttribute("aria-live", "off");
    const examples = $("#fm-history .examples[role=list]");
    if (examples) { examples.setAttribute("role", "group"); examples.setAttribute("aria-label", t("Examples")); }
  };

  // --- model output is data: what the sanitiser leaves of forms and remote images ------------
  const FORBIDDEN = ".message form, .message input:not([type=checkbox][disabled]), .message iframe, .message object, .message embed, .message video, .message audio, .message img:not([src^='data:']):not([src^='./']):not([src^='blob:'])";
  const harmless = (place) => {
    for (const node of place.querySelectorAll(FORBIDDEN)) {
      if (node.closest("button, .icon-button, .avatar-container, .fm-welcome")) continue;
      const words = node.tagName === "IMG" ? `[image not loaded: ${node.getAttribute("src") || ""}]` : node.outerHTML;
      node.replaceWith(document.createTextNode(words));
    }
  };

  // --- the swarm's state ---------------------------------------------------------------------
  let drawn = "", opening = false, behind = false;
  const pulse = async () => {
    if (document.hidden) return;
    let state;
    try {
      const answer = await fetch(`./farmesh/swarm?chat=${chatId}`, { credentials: "same-origin" });
      state = await answer.json();
    } catch { state = { text: "The app does not answer", tone: "bad", html: drawn, known: true }; }
    // The app was started again, or let this chat go: give it back before somebody goes on.
    if (!state.known && chats?.has(chatId)) { await chats.bringBack(chatId); watchAgain(); }
    if (state.running) saveSoon(); // should the app end in the middle of a reply
    // What is drawn is not what there is: the network was away, or this person has more tabs than a
    // browser has connections. Not at first sight: a stream may just be about to begin.
    if ("running" in state) {
      const drawnBusy = Boolean(byId("fm-stop")?.checkVisibility());
      const wrong = state.running ? !(state.watched && drawnBusy) : state.known && drawnBusy;
      if (wrong && behind && Date.now() - asked > 700) watchAgain();
      behind = wrong;
    }
    for (const id of ["fm-state", "fm-swarm-line"]) {
      const line = byId(id);
      if (!line) continue;
      const text = t(state.text);
      if (line.textContent !== text) line.textContent = text;
      line.dataset.tone = state.tone;
    }
    for (const id of left) if (id === chatId || !(await chats?.save(id))) left.delete(id);
    const model = byId("fm-model"), progress = byId("fm-progress");
    if (model && state.model && model !== document.activeElement) model.value = state.model;
    if (state.progress === 1 && opening) watchAgain(); // now its context is known
    opening = state.progress < 1;
    if (progress) {
      progress.hidden = !(state.progress < 1);
      progress.value = state.progress ?? 1;
    }
    const map = byId("fm-swarm");
    if (map && state.html !== drawn) {
      const wasOpen = $("details", map)?.open;
      map.innerHTML = state.html; // escaped on the server
      if (wasOpen) $("details", map).open = true;
      drawn = state.html;
    }
  };

  // --- keys ----------------------------------------------------------------------------------
  const messageBox = () => $("#fm-box textarea");
  // Gradio names its buttons in the reader's language: this one is known by its pen.
  const editButton = (row) => $("button:has(.feather-edit-2)", row);
  const showKeys = () => {
    toggle("tune", true);
    const sheet = $("#fm-keys details");
    sheet.open = true;
    sheet.scrollIntoView({ block: "nearest" });
    $("summary", sheet).focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.ctrlKey) { event.preventDefault(); showKeys(); }
    else if (event.key === "Enter" && event.altKey) { event.preventDefault(); press("fm-continue"); }
    else if (event.key.toLowerCase() === "o" && event.ctrlKey && event.shiftKey) { event.preventDefault(); open(freshId()); }
    else if (event.key === "Escape") {
      const root = document.documentElement.classList, menu = $(".fm-menu[open]");
      if (menu) { menu.open = false; $("summary", menu).focus(); }
      else if (root.contains("fm-tune-open") && innerWidth < 1100) toggle("tune", false);
      else if (root.contains("fm-side-open")) toggle("side", false);
      else press("fm-stop");
    } else if (event.key === "ArrowUp" && event.target === messageBox() && !event.target.value) {
      const mine = [...document.querySelectorAll("#fm-history .user-row")].at(-1);
      const edit = mine && editButton(mine);
      if (edit) { event.preventDefault(); edit.click(); }
    }
  });

  // --- the list of conversations (chats.js) -------------------------------------------------
  const chats = window.farmeshChats?.({ browser, tab, open, freshId, current: () => chatId });
  let saving = 0;
  const saveSoon = () => { clearTimeout(saving); saving = setTimeout(() => chats?.save(), 250); };

  // --- start ---------------------------------------------------------------------------------
  const start = () => {
    dark(isDark);
    // Gradio sets the class by the system's wish when it starts; the person's wish comes first.
    new MutationObserver(() => { if (document.body.classList.contains("dark") !== isDark) dark(isDark); })
      .observe(document.body, { attributes: true, attributeFilter: ["class"] });
    const ready = () => {
      const parts = ["#fm-attach", "#fm-chat-id textarea, #fm-chat-id input", "#fm-log", "#fm-history", "#fm-box textarea", "#fm-chats", "#fm-swarm"];
      if (!parts.every((part) => $(part))) return false;
      byId("fm-first")?.remove();
      tellChat(); // at once: somebody may send before anything else has happened
      keepEnd(byId("fm-log"));
      heard();
      new MutationObserver(saveSoon).observe(byId("fm-history"), { childList: true, subtree: true, characterData: true });
      (chats ? chats.bringBack(chatId) : Promise.resolve()).finally(attach);
      chats?.draw();
      pulse();
      const name = byId("fm-name"); // there when one has to sign in
      if (name) fetch("./farmesh/me").then((answer) => answer.json()).then((me) => { name.textContent = me.name; }).catch(() => {});
      let beats = 0; // while a reply waits for nodes, the map shows at once what becomes of them
      setInterval(() => { if (beats++ % 3 === 0 || behind || $("#fm-status .waiting")) pulse(); }, 800);
      document.addEventListener("visibilitychange", pulse);
      window.addEventListener("pageshow", ({ persisted }) => { if (persisted) watchAgain(); }); // "back"
      // Gradio reloads the page when a stream has broken; people reload it too.
      const draft = tab.get("farmesh.draft");
      tab.drop("farmesh.draft");
      if (draft && !messageBox().value) setValue(messageBox(), draft);
      window.addEventListener("pagehide", () => {
        if (messageBox()?.value && !chats?.isTemporary(chatId)) tab.set("farmesh.draft", messageBox().value);
      });
      window.addEventListener("pagehide", () => navigator.sendBeacon(`./farmesh/leave?chats=${[chatId, ...left].join(",")}`));
      return true;
    };
    window.farmeshLang.start();
    if (ready()) return;
    const observer = new MutationObserver(() => { if (ready()) observer.disconnect(); });
    observer.observe(document.body, { childList: true, subtree: true });
  };
  const begin = () => window.farmeshLang.ready.then(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
  window.farmesh = { open, freshId, get chatId() { return chatId; } };
})();
