// What the server says of the messages that are drawn, and what became of what was asked for.
import { byId, find } from "./dom.js";

const NOTHING = { nodes: [], sent: [], versions: {}, redo: false, cut: false };
let known = NOTHING;
export const facts = () => known;

const read = (name) => {
  const text = find(`[data-${name}]`, byId(`fm-${name}`) || document)?.dataset[name];
  return text ? JSON.parse(text) : null;
};
const follow = (name, hear) => {
  const look = () => {
    const value = read(name);
    if (value) hear(value);
  };
  look();
  const changes = { childList: true, subtree: true, attributes: true };
  new MutationObserver(look).observe(byId(`fm-${name}`), changes);
};

export const onFacts = (hear) =>
  follow("facts", (value) => {
    known = { ...NOTHING, ...value };
    hear(known);
  });

export const onTold = (hear) => {
  let last = 0;
  follow("told", (value) => {
    if (value.at === last) return;
    last = value.at;
    hear(value);
  });
};
