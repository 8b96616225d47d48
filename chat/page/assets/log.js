// The column of messages: it stays at its end unless the person scrolls up, a growing reply is not
// read out word by word, and what the sanitiser leaves of forms and remote images becomes text.
import { byId, find, findAll } from "./dom.js";
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

// Only a person scrolls up; that the text below grows meanwhile is no wish to stay behind.
const watchScrolling = (log) => {
  let lastTop = log.scrollTop;
  const scrolled = () => {
    if (log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END) follow = true;
    else if (log.scrollTop < lastTop - 2) follow = false;
    lastTop = log.scrollTop;
  };
  log.addEventListener("scroll", scrolled, { passive: true });
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
