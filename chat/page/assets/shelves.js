// Where conversations are kept: in the browser's storage, or with the server for people who have
// signed in. Both do the same: list, load, read, put, remove, find.
import { browser } from "./storage.js";

const ONE = "farmesh.chat.";
export const LIST = "farmesh.chats";

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const listed = () => parsed(browser.get(LIST)) || [];
const textOf = (id) => browser.get(ONE + id) || "";

export const inBrowser = {
  list: listed,
  load: () => Promise.resolve(true),
  read: (id) => Promise.resolve(parsed(textOf(id))),
  // Old chats make room when the storage is full.
  put: (entry, data) => {
    let entries = [entry, ...listed().filter((other) => other.id !== entry.id)];
    const fits = () =>
      browser.set(ONE + entry.id, JSON.stringify(data)) &&
      browser.set(LIST, JSON.stringify(entries));
    while (!fits()) {
      const others = entries.filter((other) => other !== entry);
      const oldest = others.sort((a, b) => a.updated - b.updated)[0];
      if (!oldest) break;
      browser.drop(ONE + oldest.id);
      entries = entries.filter((other) => other !== oldest);
    }
    return Promise.resolve();
  },
  remove: (id) => {
    browser.drop(ONE + id);
    browser.set(LIST, JSON.stringify(listed().filter((entry) => entry.id !== id)));
    return Promise.resolve();
  },
  find: (wanted) => {
    const text = (entry) => (entry.title + textOf(entry.id)).toLowerCase();
    return Promise.resolve(listed().filter((entry) => text(entry).includes(wanted.toLowerCase())));
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
    entries = [entry, ...entries.filter((other) => other.id !== entry.id)];
    const { title, named, updated } = entry;
    await ask(`/${entry.id}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ title, named, updated, data }),
    });
  },
  remove: async (id) => {
    entries = entries.filter((entry) => entry.id !== id);
    await ask(`/${id}`, { method: "DELETE" });
  },
  find: (wanted) => ask(`?search=${encodeURIComponent(wanted.slice(0, 200))}`).catch(() => null),
};
