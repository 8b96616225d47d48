// Conversations that outlive the app's memory. The app has a chat as long as it is in use, and gets
// it back from its shelf afterwards. A temporary chat is never kept.
import { byId } from "./dom.js";
import { withoutFiles } from "./files.js";
import { t } from "./lang.js";
import { mention, unmention } from "./mentions.js";
import { inBrowser, onServer } from "./shelves.js";
import { current, freshId } from "./shown.js";
import { tab } from "./storage.js";

const TEMPORARY = "farmesh.temporary";
let shelf = inBrowser;
let begun = null; // the place for the list is drawn by Gradio, some time after this script ran

const choose = async () => {
  if (byId("fm-chats")?.dataset.kept !== "server") return;
  shelf = onServer;
  if (!(await shelf.load())) begun = null; // asked for again when the list is next needed
};
export const begin = () => begun ||= choose();
export const reload = () => begun && shelf.load();

// Whoever draws what is kept hears when it has changed.
const listeners = [];
export const onChange = (listener) => listeners.push(listener);
export const changed = () => listeners.forEach((listener) => listener());

export const list = () => shelf.list();
export const has = (id) => list().some((entry) => entry.id === id);
export const read = (id) => shelf.read(id);
export const search = (wanted) => shelf.find(wanted);

const temporary = () => (tab.get(TEMPORARY) || "").split(" ").filter(Boolean);
export const isTemporary = (id) => temporary().includes(id);
// Whether all tabs of this browser have it, and the next day's, too.
export const isShared = (id) => shelf === inBrowser && has(id) && !isTemporary(id);
export const setTemporary = async (id, on) => {
  const others = temporary().filter((other) => other !== id);
  tab.set(TEMPORARY, [...others, ...(on ? [id] : [])].join(" "));
  await (on ? shelf.remove(id) : save());
  changed();
};

const all = ({ messages, versions = [] }) => [...messages, ...versions];
const isSomething = (data) => Array.isArray(data.messages) && all(data).length > 0;
const titleOf = (data) => {
  const question = all(data).find((message) => message.role === "user");
  const first = withoutFiles(question?.text || "").trim().split("\n")[0] || t("New chat");
  return first.length > 48 ? first.slice(0, 47) + "…" : first;
};
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

let trouble = ""; // why something is not kept, as it was said
// Returns whether it is kept; if not, that is said, for as long as it is so.
export const put = async (entry, data) => {
  const before = trouble;
  trouble = await shelf.put(entry, data);
  if (trouble && trouble !== before) mention("kept", trouble);
  else if (!trouble && before) unmention("kept");
  changed();
  return !trouble;
};

export const keep = async (id, data, title) => {
  const known = list().find((entry) => entry.id === id);
  if (known && !title && same(await shelf.read(id), data)) return true;
  const name = title || (known?.named && known.title);
  const entry = { id, title: name || titleOf(data), named: Boolean(name), updated: Date.now() };
  return await put(known?.pinned ? { ...entry, pinned: true } : entry, data);
};

// Returns whether the chat's reply is still being written, so that there will be more to keep.
export const save = async (id = current()) => {
  await begin();
  if (isTemporary(id)) return false;
  try {
    const answer = await fetch(`./farmesh/chat/${id}`);
    if (!answer.ok) return false;
    const { running, ...data } = await answer.json();
    if (!isSomething(data)) return running;
    // Should the app have forgotten the chat and begun anew: what was kept stays, by itself.
    const before = await shelf.read(id);
    const first = before?.messages?.[0]?.text;
    if (first && !all(data).some(({ text }) => text === first)) await keep(freshId(), before);
    await keep(id, data);
    return running;
  } catch {
    return true; // the app is away; the next change saves
  }
};
let saving = 0;
export const saveSoon = () => {
  clearTimeout(saving);
  saving = setTimeout(save, 250);
};

const NOT_OPENED = "This chat could not be opened.";
// Give the app a conversation; returns what it says against it.
export const give = async (id, data) => {
  const answer = await fetch(`./farmesh/chat/${id}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(data),
  });
  if (answer.ok) return "";
  return (await answer.json().catch(() => ({}))).detail || NOT_OPENED;
};
// The app has forgotten this chat (or never had it): give it what was kept.
export const bringBack = async (id) => {
  await begin();
  const data = await shelf.read(id);
  unmention("opened");
  if (!data || !isSomething(data)) return;
  try {
    const refusal = await give(id, data);
    if (refusal) mention("opened", refusal);
  } catch { /* shown as not answering by the state line */ }
};

// Pinned or not; when it was last used stays.
export const pin = async (entry, pinned) => {
  const data = await shelf.read(entry.id);
  const { excerpt: _, ...kept } = entry;
  if (data) await put({ ...kept, pinned }, data);
};

export const forget = async (id) => {
  await shelf.remove(id);
  await fetch(`./farmesh/chat/${id}`, { method: "DELETE" }).catch(() => {});
};
