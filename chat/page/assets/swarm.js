// The swarm's state, looked at every now and then; and whether this page shows what there is.
import { byId, find } from "./dom.js";
import { bringBack, has, save, saveSoon } from "./keeping.js";
import { t } from "./lang.js";
import { current, left, sinceAsked, watchAgain } from "./shown.js";

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
const drawModel = ({ model, progress }) => {
  const picker = byId("fm-model"), bar = byId("fm-progress");
  if (picker && model && picker !== document.activeElement) picker.value = model;
  if (progress === 1 && opening) watchAgain(); // now its context is known
  opening = progress < 1;
  if (bar) {
    bar.hidden = !opening;
    bar.value = progress ?? 1;
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

export const pulse = async () => {
  if (document.hidden) return;
  const state = await asked();
  // The app was started again, or let this chat go: give it back before somebody goes on.
  if (!state.known && has(current())) {
    await bringBack(current());
    watchAgain();
  }
  if (state.running) saveSoon(); // should the app end in the middle of a reply
  if ("running" in state) catchUp(state);
  drawLines(t(state.text), state.tone);
  for (const id of left) if (id === current() || !(await save(id))) left.delete(id);
  drawModel(state);
  drawMap(state.html);
};

// While a reply waits for nodes, the map shows at once what becomes of them.
export const beat = () => {
  let beats = 0;
  setInterval(() => {
    if (beats++ % 3 === 0 || behind || find("#fm-status .waiting")) pulse();
  }, BEAT_MS);
};
