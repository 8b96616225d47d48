// Finding nodes, making them, and doing to Gradio's fields and buttons what a hand would do.

export const byId = (id) => document.getElementById(id);
export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
export const messageBox = () => find("#fm-box textarea");

export const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

// Svelte listens to what is typed, not to what a script sets.
export const setValue = (field, value) => {
  const kind = field instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(field, value);
  field.dispatchEvent(new Event("input", { bubbles: true }));
};

export const press = (id) => {
  const place = byId(id);
  (place?.matches("button") ? place : place?.querySelector("button"))?.click();
};

// Gradio takes a value in one of the next frames; a hidden tab has no frames, only timers.
export const taken = () =>
  new Promise((done) => {
    const soon = () => setTimeout(done, 30);
    if (document.hidden) setTimeout(soon, 100);
    else requestAnimationFrame(() => requestAnimationFrame(soon));
  });
