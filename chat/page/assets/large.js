// Where this browser keeps what its small storage has no room for.

let opened = null;
const open = () =>
  new Promise((done, fail) => {
    const request = indexedDB.open("farmesh", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("chats");
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
const act = async (mode, what) => {
  opened ||= open();
  const transaction = (await opened).transaction("chats", mode);
  return new Promise((done, fail) => {
    const request = what(transaction.objectStore("chats"));
    transaction.oncomplete = () => done(request.result);
    transaction.onabort = () => fail(transaction.error);
  });
};

// Storage may be forbidden, or full: nothing is there, and nothing is taken.
export const large = {
  get: (key) => act("readonly", (store) => store.get(key)).catch(() => null),
  set: (key, value) =>
    act("readwrite", (store) => store.put(value, key)).then(() => true, () => false),
  drop: (key) => act("readwrite", (store) => store.delete(key)).catch(() => {}),
};
