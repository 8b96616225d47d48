// The page's own script. Gradio draws the conversation; nothing here touches its text.
import { tendMessages } from "./actions.js";
import { drawList, tendList } from "./chat_list.js";
import { byId, find, messageBox, setValue } from "./dom.js";
import { bringBack, isTemporary, saveSoon } from "./keeping.js";
import { listen } from "./keys.js";
import { ready as translated, translatePage } from "./lang.js";
import { tendLog } from "./log.js";
import { keepLight } from "./look.js";
import { attach, current, left, tell, watchAgain } from "./shown.js";
import { tab } from "./storage.js";
import { beat, pulse, tellModels } from "./swarm.js";

const DRAFT = "farmesh.draft";
const PARTS = [
  ...["#fm-attach", "#fm-chat-id textarea, #fm-chat-id input", "#fm-log", "#fm-history"],
  ...["#fm-box textarea", "#fm-chats", "#fm-swarm"],
];

const sayName = async () => {
  const place = byId("fm-name"); // there when one has to sign in
  if (!place) return;
  try {
    place.textContent = (await (await fetch("./farmesh/me")).json()).name;
  } catch { /* nobody's */ }
};

// Gradio reloads the page when a stream has broken; people reload it too.
const keepDraft = () => {
  const draft = tab.get(DRAFT);
  tab.drop(DRAFT);
  if (draft && !messageBox().value) setValue(messageBox(), draft);
  globalThis.addEventListener("pagehide", () => {
    if (messageBox()?.value && !isTemporary(current())) tab.set(DRAFT, messageBox().value);
  });
};
const sayGoodbye = () => {
  const chats = [current(), ...left].join(",");
  navigator.sendBeacon(`./farmesh/leave?chats=${chats}`);
};

// Once Gradio has drawn the page's parts.
const begin = () => {
  byId("fm-first")?.remove();
  tell(); // at once: somebody may send before anything else has happened
  tendLog();
  tendMessages();
  const everything = { childList: true, subtree: true, characterData: true };
  new MutationObserver(saveSoon).observe(byId("fm-history"), everything);
  bringBack(current()).finally(attach);
  drawList();
  pulse();
  tellModels();
  sayName();
  beat();
  document.addEventListener("visibilitychange", pulse);
  globalThis.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) watchAgain(); // "back"
  });
  keepDraft();
  globalThis.addEventListener("pagehide", sayGoodbye);
};

listen();
tendList();
keepLight();
await translated;
translatePage();
const isThere = () => PARTS.every((part) => find(part));
if (isThere()) begin();
else {
  const observer = new MutationObserver(() => {
    if (!isThere()) return;
    observer.disconnect();
    begin();
  });
  observer.observe(document.body, { childList: true, subtree: true });
}
