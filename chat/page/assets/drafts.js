// What stands in the box, chat by chat: it is there again after another chat, a reload, or a day.
import { messageBox, setValue } from "./dom.js";
import { isShared, isTemporary } from "./keeping.js";
import { current } from "./shown.js";
import { browser, tab } from "./storage.js";

const DRAFT = "farmesh.draft.";

const unkept = new Map(); // of temporary chats

const put = (id, text) => {
  browser.drop(DRAFT + id);
  tab.drop(DRAFT + id);
  unkept.delete(id);
  if (!text) return;
  if (isTemporary(id)) unkept.set(id, text);
  else (isShared(id) ? browser : tab).set(DRAFT + id, text);
};
const of = (id) => unkept.get(id) || tab.get(DRAFT + id) || browser.get(DRAFT + id) || "";

export const keepDraft = () => {
  if (messageBox()) put(current(), messageBox().value);
};
export const showDraft = () => {
  const draft = of(current());
  if (messageBox().value !== draft) setValue(messageBox(), draft);
};
export const dropDraft = (id) => put(id, "");

const joined = (...texts) => texts.filter(Boolean).join("\n");
// Back into the box, before what is being written there now; or where it was written.
export const giveBack = (id, texts) => {
  if (id !== current()) return put(id, joined(...texts, of(id)));
  setValue(messageBox(), joined(...texts, messageBox().value));
  keepDraft();
};
