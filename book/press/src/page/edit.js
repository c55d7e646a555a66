// The reader's text of one block, kept for all tabs of the browser. What two tabs, or a tab and an imported
// file, wrote without knowing of each other, is kept side by side.
import { EDIT, OTHERS, get, getJson, set } from "./store.js";

export class Edit {
    // `key` names the block in the storage; `original` is the book's code.
    constructor(key, original) {
        this.key = key;
        this.original = original;
        this.seen = get(EDIT + key);
        this.text = this.seen ?? original;
        this.others = getJson(OTHERS + key, []);
        // Whether the storage holds the text.
        this.kept = true;
    }

    // What the storage is to hold for the text: nothing for the book's own code.
    get value() {
        return this.text === this.original ? null : this.text;
    }

    // The reader has written this.
    write(text) {
        this.text = text;
        const there = get(EDIT + this.key);
        if (there !== this.seen && there !== this.value) {
            this.keepOther(there ?? this.original);
        }
        this.kept = set(EDIT + this.key, this.value);
        this.seen = get(EDIT + this.key);
    }

    // Another tab may have written. Its text replaces this one, unless this one was changed as well and the
    // storage had no room for it.
    read() {
        const there = get(EDIT + this.key);
        this.others = getJson(OTHERS + this.key, []);
        if (there === this.seen) {
            return;
        }
        if (this.kept) {
            this.text = there ?? this.original;
        } else if (there !== this.value) {
            this.keepOther(there ?? this.original);
        }
        this.seen = there;
    }

    keepOther(text) {
        this.keepOthers([...this.others.filter((other) => other !== text), text]);
    }

    keepOthers(others) {
        this.others = others;
        set(OTHERS + this.key, others.length > 0 ? JSON.stringify(others) : null);
    }

    // Takes the next of the other texts, and puts this one behind them.
    next() {
        const [text, ...rest] = this.others;
        this.keepOthers([...rest, this.text].filter((other) => other !== text));
        this.write(text);
    }

    forget() {
        this.keepOthers([]);
    }
}
