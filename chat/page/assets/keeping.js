// Conversations that outlive the app's memory. The app has a chat as long as it is in use, and gets
// it back from its shelf afterwards. A temporary chat is never kept.
import { byId } from "./dom.js";
import { t } from "./lang.js";
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
export const setTemporary = async (id, on) => {
  const others = temporary().filter((other) => other !== id);
  tab.set(TEMPORARY, [...others, ...(on ? [id] : [])].join(" "));
  await (on ? shelf.remove(id) : save());
  changed();
};

const titleOf = (messages) => {
  const question = messages.find((message) => message.role === "user");
  const first = question?.text.trim().split("\n")[0] || t("New chat");
  return first.length > 48 ? first.slice(0, 47) + "…" : first;
};
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

export const keep = async (id, data, title) => {
  const known = list().find((entry) => entry.id === id);
  if (known && !title && same(await shelf.read(id), data)) return;
  const name = title || (known?.named && known.title);
  const shown = name || titleOf(data.messages);
  await shelf.put({ id, title: shown, named: Boolean(name), updated: Date.now() }, data);
  changed();
};

// Returns whether the chat's reply is still being written, so that there will be more to keep.
export const save = async (id = current()) => {
  await begin();
  if (isTemporary(id)) return false;
  try {
    const answer = await fetch(`./farmesh/chat/${id}`);
    if (!answer.ok) return false;
    const { running, ...data } = await answer.json();
    if (!data.messages.length) return running;
    // Should the app have forgotten the chat and begun anew: what was kept stays, by itself.
    const before = await shelf.read(id);
    const kept = before?.messages || [];
    const anew = kept.length > data.messages.length && kept[0].text !== data.messages[0].text;
    if (anew) await keep(freshId(), before);
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

// The app has forgotten this chat (or never had it): give it what was kept.
export const bringBack = async (id) => {
  await begin();
  const data = await shelf.read(id);
  if (!data?.messages?.length) return;
  try {
    await fetch(`./farmesh/chat/${id}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(data),
    });
  } catch { /* shown as not answering by the state line */ }
};

export const forget = async (id) => {
  await shelf.remove(id);
  await fetch(`./farmesh/chat/${id}`, { method: "DELETE" }).catch(() => {});
};
