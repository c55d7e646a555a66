// What a run printed: text, messages with links to their lines, and pictures.
import { button, element } from "./element.js";

const VARIABLES = [
    "ink", "muted", "grid", "box", "none", "surface",
    "layer-norm", "rms-norm", "batch-norm", "accent-1", "accent-2", "accent-3",
];

// A picture is shown as an image, in which no script runs and which loads nothing, whatever a program
// printed. It gets the colours of the page; null if the text is no SVG.
function picture(text) {
    const named = /^<svg[^>]*\sxmlns\s*=/.test(text)
        ? text
        : text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
    const parsed = new DOMParser().parseFromString(named, "image/svg+xml");
    const root = parsed.documentElement;
    if (parsed.querySelector("parsererror") || root.localName !== "svg") {
        return null;
    }
    const box = root.getAttribute("viewBox")?.trim().split(/[\s,]+/) ?? [];
    if (!root.hasAttribute("width") && box.length === 4) {
        root.setAttribute("width", box[2]);
        root.setAttribute("height", box[3]);
    }
    const image = element("img", "run-picture");
    image.alt = root.querySelector("title")?.textContent.trim() || "the picture that this block printed";
    const own = root.getAttribute("style") ?? "";
    image.paint = () => {
        const page = getComputedStyle(document.documentElement);
        const colours = VARIABLES.map((name) => `--ek-${name}: ${page.getPropertyValue(`--ek-${name}`)};`);
        root.setAttribute("style", `color: ${page.getPropertyValue("--ek-ink")}; ${colours.join(" ")} ${own}`);
        const drawn = new XMLSerializer().serializeToString(root);
        image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawn)}`;
    };
    image.paint();
    return image;
}

new MutationObserver(() => {
    document.querySelectorAll(".run-picture").forEach((image) => image.paint());
}).observe(document.documentElement, { attributeFilter: ["class"] });

// Where the first picture of a text starts and ends; the end is -1 while its last tag has not come. A picture may
// hold others.
function findPicture(text) {
    const start = text.search(/<svg[\s>]/);
    let open = 0;
    for (const tag of start < 0 ? [] : text.slice(start).matchAll(/<svg(?=[\s>])[^>]*>|<\/svg\s*>/g)) {
        if (!tag[0].endsWith("/>")) {
            open += tag[0].startsWith("</") ? -1 : 1;
        }
        if (open === 0) {
            return { start, end: start + tag.index + tag[0].length };
        }
    }
    return { start, end: -1 };
}

export class Output {
    constructor(box, goTo) {
        this.box = box;
        this.goTo = goTo;
        this.clear();
    }

    clear() {
        this.box.replaceChildren();
        this.box.hidden = true;
        this.held = "";
        // What was given to `text` and `out`, to be shown again after a reload.
        this.pieces = [];
    }

    show(pieces) {
        for (const [kind, text] of pieces) {
            if (kind === "out") {
                this.out(text);
            } else {
                this.text(kind, text);
            }
        }
        this.end();
    }

    // A message of the compiler, or what the program wrote to stderr.
    text(kind, text) {
        if (text) {
            this.pieces.push([kind, text]);
            // A place in the block becomes a link.
            this.append(kind, text.split(/\b(line \d+, column \d+|(?<=\bat )line \d+)/));
        }
    }

    // What the program printed: text, and pictures when they are complete.
    out(text) {
        if (!text) {
            return;
        }
        this.pieces.push(["out", text]);
        this.held += text;
        for (;;) {
            const { start, end } = findPicture(this.held);
            if (end < 0) {
                break;
            }
            this.append("out", [this.held.slice(0, start)]);
            const source = this.held.slice(start, end);
            const image = picture(source);
            if (image) {
                this.add(image);
            } else {
                this.append("out", [source]);
            }
            this.held = this.held.slice(end).replace(/^\n/, "");
        }
        // An incomplete picture waits, and so does text that may become a picture.
        const waits = this.held.search(/<svg[\s>]|<(s(vg?)?)?$/);
        const shown = waits < 0 ? this.held.length : waits;
        this.append("out", [this.held.slice(0, shown)]);
        this.held = this.held.slice(shown);
    }

    // Nothing more comes: what waited is text.
    end() {
        this.append("out", [this.held]);
        this.held = "";
    }

    add(node) {
        this.box.append(node);
        this.box.hidden = false;
    }

    // Adds text; every second piece is a place in the block.
    append(kind, pieces) {
        if (pieces.join("") === "") {
            return;
        }
        let last = this.box.lastElementChild;
        if (!last?.classList.contains(kind)) {
            last = element("pre", kind);
            this.add(last);
        }
        for (const [i, part] of pieces.entries()) {
            if (i % 2 === 1) {
                const [line, column = 1] = part.match(/\d+/g).map(Number);
                const link = button(part, () => this.goTo(line, column));
                link.className = "run-place";
                last.append(link);
            } else {
                last.append(part);
            }
        }
    }
}
