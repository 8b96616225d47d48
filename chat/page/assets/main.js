// The page's own script. Gradio draws the conversation; nothing here touches its text.
import { tendMessages } from "./actions.js";
import { drawList, tendList } from "./chat_list.js";
import { byId, find, messageBox } from "./dom.js";
import { keepDraft, showDraft } from "./drafts.js";
import { tendFiles } from "./files.js";
import { bringBack, saveSoon } from "./keeping.js";
import { listen } from "./keys.js";
import { ready as translated, translatePage } from "./lang.js";
import { tendLog } from "./log.js";
import { keepLight } from "./look.js";
import { placeMentions } from "./mentions.js";
import { tendSending } from "./sending.js";
import { attach, current, left, tell, watchAgain } from "./shown.js";
import { beat, pulse, tellModels } from "./swarm.js";

const PARTS = [
  ...["#fm-attach", "#fm-chat-id textarea, #fm-chat-id input", "#fm-log", "#fm-history"],
  ...["#fm-box textarea", "#fm-chats", "#fm-swarm", "#fm-facts", "#fm-told"],
];

const sayName = async () => {
  const place = byId("fm-name"); // there when one has to sign in
  if (!place) return;
  try {
    place.textContent = (await (await fetch("./farmesh/me")).json()).name;
  } catch { /* nobody's */ }
};

const sayGoodbye = () => {
  const chats = [current(), ...left].join(",");
  navigator.sendBeacon(`./farmesh/leave?chats=${chats}`);
};

// Once Gradio has drawn the page's parts.
const begin = () => {
  byId("fm-first")?.remove();
  tell(); // at once: somebody may send before anything else has happened
  placeMentions();
  if (!messageBox().value) showDraft();
  tendSending();
  tendFiles();
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
  document.addEventListener("visibilitychange", keepDraft);
  globalThis.addEventListener("pagehide", keepDraft);
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
