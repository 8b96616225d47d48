// The column of messages: it stays at its end unless the person scrolls up, a growing reply is not
// read out word by word, and what the sanitiser leaves of forms and remote images becomes text.
import { byId, find, findAll, make } from "./dom.js";
import { t } from "./lang.js";

const NEAR_END = 60; // pixels
let follow = true;

export const followEnd = () => {
  follow = true;
};

// Model output is data.
const FORBIDDEN = [
  ...["form", "iframe", "object", "embed", "video", "audio"],
  "input:not([type=checkbox][disabled])",
  "img:not([src^='data:']):not([src^='./']):not([src^='blob:'])",
].map((kind) => `.message ${kind}`).join(", ");
const OURS = "button, .icon-button, .avatar-container, .fm-welcome";
const makeHarmless = (place) => {
  for (const node of findAll(FORBIDDEN, place)) {
    if (node.closest(OURS)) continue;
    const image = node.tagName === "IMG";
    const text = image ? `[image not loaded: ${node.getAttribute("src") || ""}]` : node.outerHTML;
    node.replaceWith(document.createTextNode(text));
  }
};

// For screen readers: a growing reply is read out once, when it is complete; examples are buttons
// in a group, which Gradio calls a list without entries.
export const nameParts = () => {
  for (const log of findAll("#fm-live [role=log]:not([aria-live=off])")) {
    log.setAttribute("aria-live", "off");
  }
  const examples = find("#fm-history .examples[role=list]");
  examples?.setAttribute("role", "group");
  examples?.setAttribute("aria-label", t("Examples"));
};

// The way back down, for whoever has scrolled up.
const placeJump = (log) => {
  const label = t("To the end");
  const onclick = () => {
    followEnd();
    log.scrollTo({ top: log.scrollHeight, behavior: "smooth" });
  };
  const attributes = { type: "button", id: "fm-jump", "aria-label": label, title: label };
  const jump = make("button", { ...attributes, hidden: "", onclick }, "↓");
  byId("fm-foot").append(jump);
  return jump;
};

// Only a person scrolls up, by hand: that what is drawn moves, grows or shrinks meanwhile is no wish
// to stay behind.
const BY_HAND_MS = 500;
const watchScrolling = (log) => {
  let lastTop = log.scrollTop, touched = 0;
  const touch = ({ type, buttons }) => {
    if (type !== "pointermove" || buttons) touched = Date.now();
  };
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown", "pointermove"]) {
    log.addEventListener(kind, touch, { passive: true });
  }
  const jump = placeJump(log);
  const scrolled = () => {
    const below = log.scrollHeight - log.scrollTop - log.clientHeight;
    if (below < NEAR_END) follow = true;
    else if (log.scrollTop < lastTop - 2 && Date.now() - touched < BY_HAND_MS) follow = false;
    lastTop = log.scrollTop;
    jump.hidden = below < log.clientHeight / 2;
  };
  log.addEventListener("scroll", scrolled, { passive: true });
};

// The first message that contains a text, in sight and marked for a moment.
const MARKED_MS = 2_500;
export const showFound = (wanted) => {
  const lower = wanted.toLowerCase();
  const look = () =>
    findAll("#fm-history .message-row").find((one) =>
      one.textContent.toLowerCase().includes(lower)
    );
  const show = (row) => {
    follow = false;
    row.scrollIntoView({ block: "center" });
    row.classList.add("fm-found");
    setTimeout(() => row.classList.remove("fm-found"), MARKED_MS);
  };
  const row = look();
  if (row) return show(row);
  const observer = new MutationObserver(() => {
    const drawn = look();
    if (!drawn) return;
    observer.disconnect();
    show(drawn);
  });
  observer.observe(byId("fm-history"), { childList: true, subtree: true, characterData: true });
  setTimeout(() => observer.disconnect(), MARKED_MS);
};

export const tendLog = () => {
  const log = byId("fm-log");
  watchScrolling(log);
  let waiting = false;
  const goToEnd = () => {
    if (waiting || !follow) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (follow) log.scrollTop = log.scrollHeight;
    });
  };
  const mine = log.getElementsByClassName("user-row");
  let seen = 0;
  const changed = (changes) => {
    // Only what has changed is looked at: the cost of a token must not grow with the chat.
    const elements = changes.map(({ target }) =>
      target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement
    );
    for (const place of new Set(elements)) if (place) makeHarmless(place);
    nameParts();
    if (mine.length > seen) follow = true; // who sends something wants to see what comes of it
    seen = mine.length;
    goToEnd();
  };
  const everything = { childList: true, subtree: true, characterData: true };
  new MutationObserver(changed).observe(log, everything);
  const sizes = new ResizeObserver(goToEnd);
  for (const part of [log, byId("fm-history")]) sizes.observe(part);
  nameParts();
  goToEnd();
};
