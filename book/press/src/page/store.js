// The browser's storage for this address, which all its tabs share: the reader's edits, and what is solved.

export const PROGRESS = "evenkeel-progress";
export const EDIT = "evenkeel-edit:";
// Other texts of the same block, as a list in JSON: two tabs, or a tab and an imported file, had changed it.
export const OTHERS = "evenkeel-others:";

// What to say of a text that is not kept.
export const NOT_KEPT = "not kept: this browser's storage is full or switched off";

// The value of a key; null if there is none, or no storage.
export function get(key) {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

// Whether the value is kept now; null removes the key.
export function set(key, value) {
    try {
        if (value === null) {
            localStorage.removeItem(key);
        } else {
            localStorage.setItem(key, value);
        }
        return true;
    } catch {
        return false;
    }
}

// The value of a key that holds JSON, if it is of the same kind as `otherwise`: a list or an object.
export function getJson(key, otherwise) {
    try {
        const kept = JSON.parse(get(key));
        const fits = kept && typeof kept === "object" && Array.isArray(kept) === Array.isArray(otherwise);
        return fits ? kept : otherwise;
    } catch {
        return otherwise;
    }
}

// The keys that start with these letters.
export function keys(start) {
    try {
        return Object.keys(localStorage).filter((key) => key.startsWith(start)).sort();
    } catch {
        return [];
    }
}

// Whether all of these pairs are kept now. If the storage has no room for one, all are as they were before.
export function setAll(pairs) {
    const before = pairs.map(([key]) => [key, get(key)]);
    if (pairs.every(([key, value]) => set(key, value))) {
        return true;
    }
    for (const [key, value] of before) {
        set(key, null);
        set(key, value);
    }
    return false;
}

const listeners = [];

// Calls `act` when another tab may have changed something, or an import has.
export function onChange(act) {
    listeners.push(act);
}

export function announce() {
    listeners.forEach((act) => act());
}

addEventListener("storage", announce);
// A page that comes back by the browser's "Back" heard of nothing in the meantime.
addEventListener("pageshow", (event) => {
    if (event.persisted) {
        announce();
    }
});
