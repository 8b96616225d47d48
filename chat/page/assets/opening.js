// Going to another chat, and ending a reply.
import { messageBox, setValue } from "./dom.js";
import { bringBack, changed } from "./keeping.js";
import { followEnd } from "./log.js";
import { toggle } from "./look.js";
import { attach, change, current, watchAgain } from "./shown.js";
import { isBehind, pulse } from "./swarm.js";

export const open = async (id) => {
  change(id);
  followEnd();
  await bringBack(id);
  await attach();
  pulse();
  toggle("side", false);
  messageBox()?.focus();
  changed(); // another one is here now
};

// A route of its own: Gradio's way to the server takes longer than some tokens do.
export const stop = async () => {
  let texts = [];
  try {
    const answer = await fetch(`./farmesh/stop?chat=${current()}`, { method: "POST" });
    ({ texts } = await answer.json());
  } catch {
    pulse();
  }
  if (isBehind()) watchAgain();
  const box = messageBox(); // what waited behind the reply is given back
  if (texts.length) setValue(box, [...texts, ...(box.value ? [box.value] : [])].join("\n"));
};
