// Conversations as files: written for people (Markdown) and for import (JSON), and read again.
import { make } from "./dom.js";
import { give, keep, read, save } from "./keeping.js";
import { current, freshId } from "./shown.js";

const LINK_MS = 10_000; // that a download may take to begin

const download = (name, type, text) => {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), LINK_MS);
};
const fileName = (title) => title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 40) || "chat";

const asMarkdown = (title, { system, messages }) => {
  const said = ({ role, text }) => `**${role === "user" ? "You" : "Model"}**\n\n${text}`;
  const told = system ? [`> ${system.replaceAll("\n", "\n> ")}`] : [];
  return [`# ${title}`, ...told, ...messages.map(said)].join("\n\n") + "\n";
};
const asJson = (title, data) => JSON.stringify({ title, ...data }, null, 1);

const KINDS = { md: ["text/markdown", asMarkdown], json: ["application/json", asJson] };
export const exportChat = async ({ id, title }, kind) => {
  if (id === current()) await save();
  const data = await read(id);
  const [type, written] = KINDS[kind];
  if (data) download(`${fileName(title)}.${kind}`, type, written(title, data));
};

const isMessage = (message) =>
  ["user", "assistant"].includes(message?.role) && typeof message.text === "string";
const text = (value) => typeof value === "string" ? value : "";

const parsed = (written) => {
  try {
    return JSON.parse(written) || {};
  } catch {
    return {};
  }
};

const MOST_BYTES = 8_000_000; // that the app takes, too
const TOO_LARGE = `This file is too large: at most ${MOST_BYTES / 1e6} MB can be opened.`;

// Returns the new chat's id and why it could not be opened, of which one is empty.
export const importChat = async (file) => {
  if (file.size > MOST_BYTES) return { refusal: TOO_LARGE };
  const { title, system, model, messages, versions } = parsed(await file.text());
  if (!Array.isArray(messages) || !messages.length || !messages.every(isMessage)) {
    return { refusal: "This file is not a conversation exported here." };
  }
  const id = freshId(), others = Array.isArray(versions) ? { versions } : {};
  const data = { system: text(system), model: text(model), messages, ...others };
  try {
    const refusal = await give(id, data);
    if (refusal) return { refusal };
  } catch {
    return { refusal: "The app does not answer" };
  }
  await keep(id, data, text(title).slice(0, 80));
  return { id };
};
