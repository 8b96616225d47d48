// The page's own words in the reader's language. English is written everywhere, here and on the
// server; lang/*.json has the other languages, with {} for what varies. What people and models have
// written is never touched. Gradio translates its own labels from the same tables
// (chat/page/labels.py).

const LANGUAGES = ["de", "es", "fr"];
// As Gradio chooses: the browser's first wish, without its region.
const wish = (navigator.language || "en").toLowerCase().split("-")[0];
const language = LANGUAGES.includes(wish) ? wish : "en";
document.documentElement.lang = language;
export const byLanguage = language === wish ? navigator.language : language;
let words = {}, patterns = [];

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const patternOf = (key) => new RegExp(`^${key.split("{}").map(escaped).join("(.+?)")}$`, "s");
const load = async () => {
  if (language === "en") return;
  try {
    words = await (await fetch(`./farmesh/assets/lang/${language}.json`)).json();
  } catch {
    return;
  }
  patterns = Object.keys(words).filter((key) => key.includes("{}"))
    .sort((a, b) => b.length - a.length) // the one that says most
    .map((key) => [patternOf(key), words[key]]);
};

const number = (text) => {
  if (/^-?\d{1,3}(,\d{3})+$/.test(text)) {
    return Number(text.replaceAll(",", "")).toLocaleString(language);
  }
  return /^-?\d+\.\d+$/.test(text) ? text.replace(".", ",") : text;
};
const phrase = (text) => {
  if (Object.hasOwn(words, text)) return words[text];
  if (/^[-\d.,]+$/.test(text)) return number(text);
  for (const [pattern, other] of patterns) {
    const found = pattern.exec(text);
    if (!found) continue;
    let at = 1;
    return other.replace(/\{\}/g, () => t(found[at++]));
  }
  for (const mark of [" · ", ", "]) {
    if (text.includes(mark)) return text.split(mark).map(t).join(mark);
  }
  return text;
};

const known = new Map();
export const t = (text) => {
  if (language === "en" || !text) return text;
  if (known.has(text)) return known.get(text);
  const [, before, inner, after] = /^(\s*)(.*?)(\s*)$/s.exec(text);
  const result = inner ? before + phrase(inner.replace(/\s+/g, " ")) + after : text;
  if (known.size > 2000) known.clear();
  known.set(text, result);
  return result;
};

// Only the page's own places, and in them nothing that a person, a model or a node has said.
const PLACES = "#fm-side, #fm-header, #fm-foot, #fm-tune, #fm-history .fm-welcome, " +
  "#fm-history .examples, #fm-first";
const OTHERS = ".fm-open, .fm-queued li, code, pre, textarea, input, option, .fm-nodes b, " +
  ".fm-brand, #fm-next, #fm-files b";
const NAMES = ["aria-label", "title", "placeholder"];

const translateNode = (node) => {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.parentElement?.closest(OTHERS)) return;
    const text = t(node.data);
    if (text !== node.data) node.data = text;
  } else if (node.nodeType === Node.ELEMENT_NODE) {
    for (const name of NAMES) {
      const value = node.getAttribute(name);
      if (value && t(value) !== value) node.setAttribute(name, t(value));
    }
    for (const child of node.childNodes) translateNode(child);
  }
};
const translatePlaces = (root) => {
  if (!root.closest) return;
  if (root.closest(PLACES)) return translateNode(root);
  for (const place of root.querySelectorAll(PLACES)) translateNode(place);
};
const translateChange = ({ type, target, addedNodes }) => {
  const element = target.nodeType === Node.ELEMENT_NODE ? target : target.parentElement;
  if (type !== "childList") {
    if (element?.closest(PLACES)) translateNode(target);
    return;
  }
  for (const node of addedNodes) {
    if (node.nodeType === Node.ELEMENT_NODE) translatePlaces(node);
    else if (node.parentElement?.closest(PLACES)) translateNode(node);
  }
};

export const ready = load();
export const translatePage = () => {
  if (language === "en") return;
  translatePlaces(document.documentElement);
  new MutationObserver((changes) => changes.forEach(translateChange)).observe(
    document.documentElement,
    { subtree: true, childList: true, characterData: true, attributeFilter: NAMES },
  );
};
