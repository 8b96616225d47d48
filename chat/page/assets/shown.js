// Which chat this tab shows, and with which model: told to Gradio's hidden fields, which every
// action sends along.
import { find, press, setValue, taken } from "./dom.js";
import { browser, tab } from "./storage.js";

const CHAT = "farmesh.chat", MODEL = "farmesh.model";

// 256 random bits, known to this tab and the server.
export const freshId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
};

// The chat is in the page's address, for Back, bookmarks and a second tab; the id opens it with this
// browser's cookie only.
const ADDRESS = /^#chat=([A-Za-z0-9_-]{43})$/;
const addressed = () => ADDRESS.exec(location.hash)?.[1] || "";

let chatId = addressed() || tab.get(CHAT) || "";
let picked = ""; // the model just chosen for this chat; otherwise only a wish for new chats
let asked = 0; // when this page last asked to be shown its chat
export const left = new Set(); // chats that were left and may have a reply that is not kept yet
export const writing = new Set(); // chats of which a reply is being written, as far as is known

export const current = () => chatId;
export const sinceAsked = () => Date.now() - asked;

export const change = (id) => {
  left.add(chatId);
  chatId = id;
  picked = "";
  tab.set(CHAT, id);
  if (addressed() !== id) history.pushState(null, "", `#chat=${id}`);
};
// Whoever goes back or forward, or changes the address, wants to see that chat.
export const onAddress = (go) =>
  globalThis.addEventListener("popstate", () => {
    const id = addressed();
    if (id && id !== chatId) go(id);
  });

export const tell = () => {
  setValue(find("#fm-chat-id textarea, #fm-chat-id input"), chatId);
  const wish = `~${browser.get(MODEL) || ""}`;
  setValue(find("#fm-model-id textarea, #fm-model-id input"), picked || wish);
};

const show = async (how) => {
  asked = Date.now();
  tell();
  await taken();
  press(how);
};
export const attach = () => show("fm-attach"); // with its system prompt
export const watchAgain = () => show("fm-watch"); // what is written into the settings stays

// The model chosen last is that of new chats too.
export const pick = async (model) => {
  browser.set(MODEL, picked = model);
  tell(); // a message that is sent now brings it along
  await taken();
  press("fm-use-model");
  await taken();
  if (picked === model) picked = "";
};

if (!/^[A-Za-z0-9_-]{43}$/.test(chatId)) chatId = freshId();
tab.set(CHAT, chatId);
if (!addressed()) history.replaceState(null, "", `#chat=${chatId}`);
