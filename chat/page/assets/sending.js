// A message is in its place with the keypress, and so is Stop: the server may be far away. When it
// says that the message has arrived, what it draws takes over; when it refuses, the text comes back.
import { ask } from "./asking.js";
import { byId, find, make, messageBox, setValue } from "./dom.js";
import { giveBack, keepDraft } from "./drafts.js";
import { facts, onFacts, onTold } from "./facts.js";
import { doFit, hasFiles, isReading, withFiles, withoutFiles } from "./files.js";
import { isTemporary } from "./keeping.js";
import { followEnd } from "./log.js";
import { mentionShortly } from "./mentions.js";
import { current, freshId, watchAgain } from "./shown.js";
import { tab } from "./storage.js";

const PENDING = "farmesh.pending";
const LATE_MS = 30_000; // after which a message that has not arrived does not come any more
const SETTLED_MS = 5_000; // after which a message that has arrived should have been drawn
const SHOWN = 5_000; // characters of a message that is on its way
let pending = []; // messages on their way: chat, id, text, at, stopped
let isFresh = true; // nothing has been heard from the server since this page was loaded

const here = () => pending.filter(({ chat }) => chat === current());
export const isSending = () => here().length > 0;

const note = () => {
  const kept = pending.filter(({ chat }) => !isTemporary(chat));
  if (kept.length) tab.set(PENDING, JSON.stringify(kept));
  else tab.drop(PENDING);
};
const bubble = ({ text, stopped }) => {
  const written = withoutFiles(text);
  const shown = written.length > SHOWN ? `${written.slice(0, SHOWN)}…` : written;
  const said = make("div", { class: "fm-typed", dir: "auto" }, shown);
  const dots = stopped ? [] : [make("div", { class: "fm-dots" })];
  return make("div", { class: "fm-ghost" }, said, ...dots);
};
export const drawComing = () => {
  const coming = here(), log = byId("fm-coming"), next = byId("fm-next");
  if (!log) return;
  const isBehind = Boolean(find("#fm-live .message-row"));
  const [first, ...others] = isBehind ? [null, ...coming] : coming;
  log.replaceChildren(...(first ? [bubble(first)] : []));
  next.replaceChildren(...others.map(({ text }) => make("li", {}, withoutFiles(text))));
  document.documentElement.classList.toggle("fm-sending", coming.some((one) => !one.stopped));
};
const change = (remaining) => {
  pending = remaining;
  note();
  drawComing();
};

export const say = (text) => {
  const message = { chat: current(), id: freshId().slice(0, 20), text, at: Date.now() };
  followEnd();
  change([...pending, message]);
  ask("fm-say", { id: message.id, text });
};
export const sendBox = () => {
  const box = messageBox(), text = box.value;
  if (!text.trim() && !hasFiles()) return;
  if (isReading()) return mentionShortly("file", "A file is still being read.");
  if (!doFit()) return; // which is said already
  setValue(box, "");
  keepDraft();
  say(withFiles(text));
};

// Stop was pressed: what has not arrived yet must not be answered either.
export const stopComing = () => {
  const ids = here().map(({ id }) => id);
  change(pending.map((one) => one.chat === current() ? { ...one, stopped: true } : one));
  return ids;
};

const refused = (one) => {
  change(pending.filter(({ id }) => id !== one.id));
  giveBack(one.chat, [one.text]);
};
const told = ({ taken, refused: id, back, spare }) => {
  const elsewhere = pending.find((one) => one.id === taken && one.chat !== current());
  if (elsewhere) change(pending.filter((one) => one !== elsewhere));
  const mine = id && pending.find((one) => one.id === id);
  if (mine) refused(mine);
  if (back?.length) giveBack(current(), back);
  if (spare && !messageBox().value) giveBack(current(), [spare]);
};
const arrived = ({ sent }) => {
  const remaining = pending.filter(({ chat, id }) => chat !== current() || !sent.includes(id));
  if (remaining.length < pending.length) requestAnimationFrame(() => change(remaining));
  if (!isFresh) return;
  isFresh = false; // the page was loaded anew with these on their way
  for (const one of remaining.filter(({ old }) => old)) refused(one);
};

// The swarm's state says what has arrived, too, should Gradio's own answer have been lost.
export const settle = (sent) => {
  for (const one of here()) {
    const age = Date.now() - one.at, isThere = sent.includes(one.id);
    if (!isThere && age > LATE_MS) refused(one);
    else if (isThere && age > SETTLED_MS && !facts().sent.includes(one.id)) watchAgain();
  }
};

export const tendSending = () => {
  byId("fm-log").append(make("div", { id: "fm-coming" }));
  byId("fm-composer").before(make("ul", { id: "fm-next", class: "fm-queued" }));
  try {
    pending = JSON.parse(tab.get(PENDING) || "[]").map((one) => ({ ...one, old: true }));
  } catch { /* nothing of ours */ }
  drawComing();
  onTold(told);
  onFacts(arrived);
};
