// What keys do (the sheet in the settings names them), and clicks on the page's own buttons.
import { edit } from "./actions.js";
import { byId, find, findAll, messageBox, press, setValue } from "./dom.js";
import { t } from "./lang.js";
import { changeLight, isOpen, tapBeside, toggle } from "./look.js";
import { open, stop, takeBack } from "./opening.js";
import { say, sendBox } from "./sending.js";
import { freshId, pick } from "./shown.js";
import { pulse, tellModels } from "./swarm.js";

const NARROW = 1100; // pixels; below, the settings lie over the chat
const SAID_MS = 1500; // that "Copied" stands on a button

const copy = async (button) => {
  const code = find("pre code", button.parentElement);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = t("Copied");
  } catch {
    button.textContent = t("Press Ctrl+C");
    getSelection().selectAllChildren(code);
  }
  setTimeout(() => {
    button.textContent = t("Copy");
  }, SAID_MS);
};

const EXAMPLE = "#fm-history .examples .example";
const CLICKABLE =
  `[data-toggle], [data-click], [data-copy], [data-back], #fm-new, #fm-stop, #fm-send, ${EXAMPLE}`;
const clicked = (event) => {
  tapBeside(event.target);
  const target = event.target.closest?.(CLICKABLE);
  if (!target) return;
  if (target.id === "fm-stop") return stop();
  if (target.id === "fm-send") return sendBox();
  if (target.matches(EXAMPLE)) return say(target.textContent.trim());
  if (target.id === "fm-new") {
    event.preventDefault();
    return open(freshId());
  }
  const { toggle: name, click, back } = target.dataset;
  if (back) return takeBack(back);
  if (name === "dark") changeLight();
  else if (name) toggle(name);
  else if (click) press(click);
  else copy(target);
};

const showKeys = () => {
  toggle("tune", true);
  const sheet = find("#fm-keys details");
  sheet.open = true;
  sheet.scrollIntoView({ block: "nearest" });
  find("summary", sheet).focus();
};
const escape = () => {
  const menu = find(".fm-menu[open]");
  if (menu) {
    menu.open = false;
    find("summary", menu).focus();
  } else if (isOpen("tune") && innerWidth < NARROW) toggle("tune", false);
  else if (isOpen("side")) toggle("side", false);
  else press("fm-stop");
};
const pressed = (event) => {
  const { key, ctrlKey, altKey, shiftKey, target } = event;
  const act = (what) => {
    event.preventDefault();
    what();
  };
  if (key === "/" && ctrlKey) act(showKeys);
  else if (key === "Enter" && altKey) act(() => press("fm-continue"));
  else if (key.toLowerCase() === "o" && ctrlKey && shiftKey) act(() => open(freshId()));
  else if (key === "Escape") escape();
  else if (key === "ArrowUp" && target === messageBox() && !target.value) {
    const mine = findAll("#fm-history .user-row").at(-1);
    if (mine) act(() => edit(mine));
  }
};

// Before Gradio's box hears of it: a message takes its own way.
const entered = (event) => {
  const { key, shiftKey, altKey, isComposing, target } = event;
  if (key !== "Enter" || shiftKey || altKey || isComposing || target !== messageBox()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  sendBox();
};

// A number that is cleared to type another one is not 0, which Gradio would make of it.
const NUMBER = "#fm-tune input[type=number]";
const emptied = (event) => {
  if (event.target.matches?.(NUMBER) && event.target.value === "") event.stopImmediatePropagation();
};
const numbers = new WeakMap(); // what a field had when it got the focus
const entering = ({ target }) => {
  if (target.matches?.(NUMBER)) numbers.set(target, target.value);
};
const leaving = ({ target }) => {
  if (target.matches?.(NUMBER) && target.value === "") setValue(target, numbers.get(target));
};

const picked = async ({ target }) => {
  if (target !== byId("fm-model")) return;
  await pick(target.value);
  setTimeout(pulse, 300);
};

const mayPick = ({ target }) => {
  if (target === byId("fm-model")) tellModels();
};

export const listen = () => {
  document.addEventListener("click", clicked);
  document.addEventListener("keydown", entered, true);
  document.addEventListener("keydown", pressed);
  document.addEventListener("change", picked);
  document.addEventListener("focusin", mayPick);
  document.addEventListener("pointerover", mayPick);
  document.addEventListener("input", emptied, true);
  document.addEventListener("focusin", entering);
  document.addEventListener("focusout", leaving, true);
};
