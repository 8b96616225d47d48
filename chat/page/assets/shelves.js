// Where conversations are kept: in the browser's storage, or with the server for people who have
// signed in. Both do the same: list, load, read, put, remove, find. Nothing makes room for anything
// else: ``put`` answers with a sentence when it cannot keep what it was given.
import { large } from "./large.js";
import { browser } from "./storage.js";

const ONE = "farmesh.chat.";
export const LIST = "farmesh.chats";
const FULL = "This browser has no room left: this chat is not kept. Delete others, or export it.";
const AWAY = "This chat could not be kept: the app does not answer.";

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const listed = () => parsed(browser.get(LIST)) || [];
const textOf = async (id) => browser.get(ONE + id) || await large.get(ONE + id) || "";
const putText = async (id, text) => {
  if (browser.set(ONE + id, text)) return true;
  if (!await large.set(ONE + id, text)) return false;
  browser.drop(ONE + id); // what it was before
  return true;
};
// The list is short, but the small storage may be full to its last letter.
const putList = async (entries) => {
  const text = JSON.stringify(entries);
  for (const { id } of listed()) {
    if (browser.set(LIST, text)) return true;
    const moved = browser.get(ONE + id);
    if (moved && await large.set(ONE + id, moved)) browser.drop(ONE + id);
  }
  return browser.set(LIST, text);
};

const EXCERPT = 40; // characters before and after what is searched for
const excerptOf = (data, wanted) => {
  for (const { text } of data?.messages || []) {
    const at = text.toLowerCase().indexOf(wanted);
    if (at < 0) continue;
    const start = Math.max(0, at - EXCERPT), end = at + wanted.length + EXCERPT;
    const words = text.slice(start, end).replace(/\s+/g, " ").trim();
    return `${start ? "…" : ""}${words}${end < text.length ? "…" : ""}`;
  }
  return "";
};

export const inBrowser = {
  list: listed,
  load: () => Promise.resolve(true),
  read: async (id) => parsed(await textOf(id)),
  put: async (entry, data) => {
    if (!await putText(entry.id, JSON.stringify(data))) return FULL;
    const others = listed().filter(({ id }) => id !== entry.id);
    return await putList([entry, ...others]) ? "" : FULL;
  },
  remove: async (id) => {
    browser.drop(ONE + id);
    browser.set(LIST, JSON.stringify(listed().filter((entry) => entry.id !== id)));
    await large.drop(ONE + id);
  },
  find: async (wanted) => {
    const found = [], lower = wanted.toLowerCase();
    for (const entry of listed()) {
      const excerpt = excerptOf(parsed(await textOf(entry.id)), lower);
      if (excerpt || entry.title.toLowerCase().includes(lower)) found.push({ ...entry, excerpt });
    }
    return found;
  },
};

const ask = async (path, options) => {
  const answer = await fetch(`./farmesh/kept${path}`, options);
  return answer.ok ? answer.json() : null;
};
let entries = []; // what the server has, as far as this page knows

export const onServer = {
  list: () => entries,
  load: async () => {
    try {
      const answer = await ask("");
      entries = answer || entries;
      return Boolean(answer);
    } catch {
      return false;
    }
  },
  read: (id) => ask(`/${id}`).catch(() => null),
  put: async (entry, data) => {
    const { id, title, named, updated, pinned = false } = entry;
    const options = {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ title, named, pinned, updated, data }),
    };
    try {
      const answer = await fetch(`./farmesh/kept/${id}`, options);
      if (!answer.ok) return (await answer.json()).detail;
    } catch {
      return AWAY;
    }
    entries = [entry, ...entries.filter((other) => other.id !== id)];
    return "";
  },
  remove: async (id) => {
    entries = entries.filter((entry) => entry.id !== id);
    await ask(`/${id}`, { method: "DELETE" });
  },
  find: (wanted) => ask(`?search=${encodeURIComponent(wanted.slice(0, 200))}`).catch(() => null),
};
