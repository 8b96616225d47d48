// Files that are to be sent with the next message: chosen, dropped or pasted, read by the app, and
// shown with what they take of the model's context before anything is sent.
import { byId, find, make, messageBox } from "./dom.js";
import { t } from "./lang.js";
import { mention, mentionShortly, unmention } from "./mentions.js";
import { current } from "./shown.js";

const MOST_BYTES = 8_000_000, MOST_FILES = 10;
const TOO_LARGE = `A file may have ${MOST_BYTES / 1e6} MB at most.`;
const AWAY = "The app does not answer";
let files = []; // chat, name, text, tokens, room; only the first two while it is being read

const here = () => files.filter(({ chat }) => chat === current());
export const isReading = () => here().some(({ text }) => text === undefined);
const size = () => here().reduce((sum, { tokens = 0 }) => sum + tokens, 0);
const room = () => Math.min(...here().map((one) => one.room ?? Infinity));
export const doFit = () => size() <= room();

const remove = (file) => {
  files = files.filter((other) => other !== file);
  drawFiles();
};
const count = (number) => `${number.toLocaleString("en")} tokens`;
const chip = (file) => {
  const { name, tokens } = file;
  const label = t(`Remove ${name}`);
  const attributes = { type: "button", "aria-label": label, title: label };
  return make(
    "li",
    {},
    make("b", { dir: "auto" }, name),
    make("span", {}, t(tokens === undefined ? "is being read" : count(tokens))),
    make("button", { ...attributes, onclick: () => remove(file) }, "×"),
  );
};
export const drawFiles = () => {
  const place = byId("fm-files");
  if (!place) return;
  place.replaceChildren(...here().map(chip));
  if (doFit()) unmention("files");
  else mention("files", `These files take ${count(size())}, and ${count(room())} fit.`);
};

const read = async (file) => {
  if (here().length >= MOST_FILES) {
    return mentionShortly("file", `At most ${MOST_FILES} files go with a message.`);
  }
  if (file.size > MOST_BYTES) return mentionShortly("file", TOO_LARGE);
  const chat = current(), name = file.name.replace(/\s+/g, " ");
  const mine = { chat, name };
  files.push(mine);
  drawFiles();
  const address = `./farmesh/file?chat=${chat}&name=${encodeURIComponent(name)}`;
  let answer, refusal = AWAY;
  try {
    const response = await fetch(address, { method: "POST", body: file });
    answer = await response.json();
    refusal = response.ok ? "" : answer.detail;
  } catch { /* said below */ }
  if (refusal) {
    remove(mine);
    return mention("file", refusal);
  }
  Object.assign(mine, answer);
  drawFiles();
};
const take = (list) => [...list].forEach(read);

// A message with its files as the model reads it (chat/conversation/attached.py), which leave the box.
export const withFiles = (text) => {
  const parts = here().map((file) => {
    const longest = Math.max(2, ...[...file.text.matchAll(/`+/g)].map(([run]) => run.length));
    const fence = "`".repeat(longest + 1);
    return `File: ${file.name}\n${fence}\n${file.text}\n${fence}`;
  });
  files = files.filter(({ chat }) => chat !== current());
  drawFiles();
  return [...parts, text].join("\n\n");
};
// What a person wrote in a message that has files in it, too.
const FILE = /^File: ([^\n]+)\n(`{3,})\n[^]*?\n\2(?:\n\n|$)/;
export const withoutFiles = (text) => {
  const found = FILE.exec(text);
  return found ? withoutFiles(text.slice(found[0].length)) || found[1] : text;
};
export const hasFiles = () => here().length > 0;

const dropped = (event) => {
  document.documentElement.classList.remove("fm-dropping");
  const list = event.dataTransfer?.files;
  if (!list?.length) return;
  event.preventDefault();
  event.stopPropagation();
  take(list);
};
const dragged = (event) => {
  if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
  event.preventDefault();
  document.documentElement.classList.toggle("fm-dropping", event.type !== "dragleave");
};
const pasted = (event) => {
  const list = event.clipboardData?.files;
  if (event.target !== messageBox() || !list?.length) return; // text stays text
  event.preventDefault();
  take(list);
};

const CLIP =
  "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.6-8.6a3.4 3.4 0 0 1 4.8 4.8l-8.5 8.5a1.7 1.7 0 0 1" +
  "-2.4-2.4l7.8-7.8";
const icon = () => {
  const [picture, line] = ["svg", "path"].map((tag) =>
    document.createElementNS("http://www.w3.org/2000/svg", tag)
  );
  picture.setAttribute("viewBox", "0 0 24 24");
  line.setAttribute("d", CLIP);
  picture.append(line);
  return picture;
};

export const tendFiles = () => {
  const field = make("input", { type: "file", multiple: "", hidden: "" });
  field.addEventListener("change", () => {
    take(field.files);
    field.value = "";
  });
  const label = t("Attach files");
  const attributes = { type: "button", id: "fm-attach-files", "aria-label": label, title: label };
  const button = make("button", { ...attributes, onclick: () => field.click() }, icon());
  find("#fm-composer").prepend(field, button);
  byId("fm-composer").before(make("ul", { id: "fm-files", "aria-label": t("Files") }));
  document.addEventListener("drop", dropped, true);
  for (const kind of ["dragenter", "dragover", "dragleave"]) {
    document.addEventListener(kind, dragged);
  }
  document.addEventListener("paste", pasted, true);
};
