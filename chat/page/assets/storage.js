// The browser's storage, which may be forbidden: of this tab, and of all tabs.

const kept = (area) => ({
  get: (key) => {
    try {
      return globalThis[area].getItem(key);
    } catch {
      return null;
    }
  },
  set: (key, value) => {
    try {
      globalThis[area].setItem(key, value);
      return true;
    } catch {
      return false;
    }
  },
  drop: (key) => {
    try {
      globalThis[area].removeItem(key);
    } catch { /* nothing kept */ }
  },
});

export const tab = kept("sessionStorage");
export const browser = kept("localStorage");
