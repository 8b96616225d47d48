// The swarm's state, looked at every now and then; and whether this page shows what there is.
import { byId, find } from "./dom.js";
import { bringBack, changed, has, save, saveSoon } from "./keeping.js";
import { t } from "./lang.js";
import { isSending, settle } from "./sending.js";
import { current, left, sinceAsked, watchAgain, writing } from "./shown.js";

const BEAT_MS = 800;
const SETTLING_MS = 700; // in which a stream that was just asked for may begin
let drawn = "", opening = false, behind = false;

export const isBehind = () => behind;

const asked = async () => {
  try {
    return await (await fetch(`./farmesh/swarm?chat=${current()}`)).json();
  } catch {
    return { text: "The app does not answer", tone: "bad", html: drawn, known: true };
  }
};

// What is drawn is not what there is: the network was away, or this person has more tabs than a
// browser has connections. Not at first sight: a stream may just be about to begin.
const catchUp = ({ known, running, watched }) => {
  const busy = Boolean(byId("fm-stop")?.checkVisibility());
  const wrong = running ? !(watched && busy) : known && busy;
  if (wrong && behind && sinceAsked() > SETTLING_MS) watchAgain();
  behind = wrong;
};

const drawLines = (text, tone) => {
  for (const line of [byId("fm-state"), byId("fm-swarm-line")]) {
    if (!line) continue;
    if (line.textContent !== text) line.textContent = text;
    line.dataset.tone = tone;
  }
};
// Most of the time of opening a model passes between two things that can be told: the bar goes on,
// ever slower, and never as far as what has not been told.
const CREEP = 0.06, CREEP_MOST = 0.35;
let told = 0, shown = 0;
const creeping = (progress) => {
  if (progress !== told || progress === 1) shown = told = progress;
  else shown += CREEP * (Math.min(1, told + CREEP_MOST) - shown);
  return shown;
};
const drawModel = ({ model, progress }) => {
  const picker = byId("fm-model"), bar = byId("fm-progress");
  if (picker && model && picker !== document.activeElement) picker.value = model;
  if (progress === 1 && opening) watchAgain(); // now its context is known
  opening = progress < 1;
  if (bar) {
    bar.hidden = !opening;
    bar.value = creeping(progress ?? 1);
  }
};
const drawMap = (html) => {
  const map = byId("fm-swarm");
  if (!map || html === drawn) return;
  const wasOpen = find("details", map)?.open;
  map.innerHTML = html; // escaped on the server
  if (wasOpen) find("details", map).open = true;
  drawn = html;
};

// What is said of each model changes while a joined swarm does: looked up when somebody may choose.
export const tellModels = async () => {
  const picker = byId("fm-model");
  if (!picker) return;
  const models = await fetch("./farmesh/models").then((found) => found.json()).catch(() => []);
  for (const { id, label, about } of models) {
    const option = [...picker.options].find((offered) => offered.value === id);
    if (!option) continue;
    if (option.text !== label) option.text = label;
    option.title = about;
  }
};

// Which chats are being written to; a reply in a chat that was left is kept when it is whole.
const look = async (isHereWriting) => {
  const before = [...writing].join();
  writing.clear();
  if (isHereWriting) writing.add(current());
  for (const id of left) {
    if (id === current() || !(await save(id))) left.delete(id);
    else writing.add(id);
  }
  if ([...writing].join() !== before) changed();
};

export const pulse = async () => {
  if (document.hidden) return;
  const state = await asked();
  // The app was started again, or let this chat go: give it back before somebody goes on.
  if (!state.known && has(current())) {
    await bringBack(current());
    watchAgain();
  }
  if (state.running) saveSoon(); // should the app end in the middle of a reply
  if (state.sent) settle(state.sent);
  if ("running" in state && !isSending()) catchUp(state);
  drawLines(t(state.text), state.tone);
  await look(Boolean(state.running));
  drawModel(state);
  drawMap(state.html);
};

// While a reply waits for nodes, the map shows at once what becomes of them.
export const beat = () => {
  let beats = 0;
  setInterval(() => {
    if (beats++ % 3 === 0 || behind || opening || find("#fm-status .waiting")) pulse();
  }, BEAT_MS);
};
