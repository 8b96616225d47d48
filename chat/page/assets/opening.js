// Going to another chat, and ending a reply.
import { messageBox } from "./dom.js";
import { giveBack, keepDraft, showDraft } from "./drafts.js";
import { drawFiles } from "./files.js";
import { bringBack, changed } from "./keeping.js";
import { followEnd } from "./log.js";
import { toggle } from "./look.js";
import { drawComing, stopComing } from "./sending.js";
import { attach, change, current, watchAgain } from "./shown.js";
import { isBehind, pulse } from "./swarm.js";

export const open = async (id) => {
  keepDraft();
  change(id);
  showDraft();
  drawComing();
  drawFiles();
  followEnd();
  await bringBack(id);
  await attach();
  pulse();
  toggle("side", false);
  messageBox()?.focus();
  changed(); // another one is here now
};

// A message that waits behind the reply goes back into the box.
export const takeBack = async (message) => {
  const chat = current();
  const address = `./farmesh/back?chat=${chat}&message=${message}`;
  try {
    const { texts } = await (await fetch(address, { method: "POST" })).json();
    giveBack(chat, texts);
    messageBox()?.focus();
  } catch {
    pulse();
  }
};

// A route of its own: Gradio's way to the server takes longer than some tokens do.
export const stop = async () => {
  const chat = current(), coming = stopComing().join(",");
  let texts = [];
  messageBox()?.focus();
  try {
    const answer = await fetch(`./farmesh/stop?chat=${chat}&messages=${coming}`, {
      method: "POST",
    });
    ({ texts } = await answer.json());
  } catch {
    pulse();
  }
  if (isBehind()) watchAgain();
  if (texts.length) giveBack(chat, texts); // what waited behind the reply
};
