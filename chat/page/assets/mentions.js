// Sentences of this page above the box, each with at most one thing to do about it.
import { byId, make } from "./dom.js";
import { t } from "./lang.js";

const SHORT_MS = 9_000;
const lines = new Map(); // by what they are about
const timers = new Map();

// At once, because a screen reader hears only what comes into a place that it knows.
export const placeMentions = () =>
  byId("fm-foot").prepend(make("div", { id: "fm-mentions", role: "status" }));

export const unmention = (about) => {
  clearTimeout(timers.get(about));
  lines.get(about)?.remove();
  lines.delete(about);
};
// Without ``ms`` it stands until something else is said of the same.
export const mention = (about, text, { label, act, ms } = {}) => {
  unmention(about);
  const line = make("div", { class: "fm-mention" }, make("p", {}, t(text)));
  if (label) {
    const onclick = () => {
      unmention(about);
      act();
    };
    line.append(make("button", { type: "button", onclick }, t(label)));
  } else {
    const onclick = () => unmention(about);
    line.append(make("button", { type: "button", onclick, "aria-label": t("Close") }, "×"));
  }
  byId("fm-mentions").append(line);
  lines.set(about, line);
  if (ms) timers.set(about, setTimeout(() => unmention(about), ms));
};
export const mentionShortly = (about, text) => mention(about, text, { ms: SHORT_MS });
