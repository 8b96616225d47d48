// What this page asks of the server by way of Gradio, which sends the settings along: one thing
// after the other, each with the chat that it was asked for.
import { find, press, setValue, taken } from "./dom.js";
import { current, tell } from "./shown.js";

let line = Promise.resolve();

export const ask = (button, what) => {
  const data = JSON.stringify({ chat: current(), ...what });
  const act = async () => {
    tell();
    setValue(find("#fm-asked textarea, #fm-asked input"), data);
    await taken();
    press(button);
    await taken();
  };
  line = line.then(act, act);
  return line;
};
