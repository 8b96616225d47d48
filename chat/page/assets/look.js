// Dark or light, and which drawers are open. Loaded first: the page must not be seen in the wrong
// light.
import { byId } from "./dom.js";
import { browser } from "./storage.js";

const THEME = "farmesh.theme";
const root = document.documentElement;
let isDark;

const dark = (on) => {
  isDark = on;
  root.classList.toggle("dark", on);
  document.body?.classList.toggle("dark", on);
};
export const changeLight = () => {
  dark(!isDark);
  browser.set(THEME, isDark ? "dark" : "light");
};

// Gradio sets the class by the system's wish when it starts; the person's wish comes first.
export const keepLight = () => {
  dark(isDark);
  new MutationObserver(() => {
    if (document.body.classList.contains("dark") !== isDark) dark(isDark);
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
};

export const toggle = (drawer, on) => root.classList.toggle(`fm-${drawer}-open`, on);
export const isOpen = (drawer) => root.classList.contains(`fm-${drawer}-open`);

// A tap beside an open drawer closes it.
export const tapBeside = (target) => {
  for (const name of ["side", "tune"]) {
    const drawer = byId(`fm-${name}`);
    const over = drawer && getComputedStyle(drawer).position === "fixed";
    const own = target.closest?.("[data-toggle], [role=listbox], .options");
    if (over && !own && !drawer.contains(target)) toggle(name, false);
  }
};

const wish = new URLSearchParams(location.search).get("__theme") || browser.get(THEME);
dark(wish ? wish === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
