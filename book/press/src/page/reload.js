// What a reader has on a page outlives its loading anew by the press: outputs, place, focus, open answers.

const KEY = "evenkeel-reload";
const HEADINGS = "main :is(h1, h2, h3, h4)[id]";
const CONTROLS = "a[href], button, input, textarea, summary, [tabindex]";

const all = (selector, scope = document) => [...scope.querySelectorAll(selector)];
const topOf = (element) => element.getBoundingClientRect().top;

let byPress = false;
// The browser restores the place itself, but after a reload by the press: then `restore` does, once outputs stand.
addEventListener("pagehide", () => {
    history.scrollRestoration = byPress ? "manual" : "auto";
});

// What the reader's place is told by: headings and blocks, by names that a change of the page seldom touches.
function marks(blocks) {
    const headings = all(HEADINGS).map((heading) => [heading.id, heading]);
    return [...headings, ...blocks.map(({ key, box }) => [key, box])];
}

// The mark nearest above the middle of the screen, and where on the screen the mark is.
function place(blocks) {
    const tops = marks(blocks).map(([name, mark]) => ({ name, top: topOf(mark) }));
    const above = tops.filter(({ top }) => top < innerHeight / 2).sort((a, b) => b.top - a.top);
    return above[0] ?? { top: -scrollY };
}

function goTo({ name, top }, blocks) {
    const mark = marks(blocks).find(([own]) => own === name)?.[1];
    scrollTo({ top: scrollY + (mark ? topOf(mark) : -scrollY) - top, behavior: "instant" });
}

// The focused control: its number in its block, or in the page.
function focus(blocks) {
    const focused = document.activeElement;
    const block = blocks.find(({ box }) => box.contains(focused));
    const number = all(CONTROLS, block?.box).indexOf(focused);
    return { block: block?.key, number, from: focused?.selectionStart, to: focused?.selectionEnd };
}

function focusAgain({ block, number, from, to }, blocks) {
    const scope = block ? blocks.find((own) => own.key === block)?.box : document;
    const control = scope && all(CONTROLS, scope)[number];
    control?.focus({ preventScroll: true });
    if (control?.localName === "textarea") {
        control.setSelectionRange(from, to);
    }
}

export function keep(blocks) {
    const kept = {
        page: location.pathname,
        place: place(blocks),
        focus: focus(blocks),
        open: all("main details").map((details) => details.open),
        // What is said of a press that is gone is of no use to the next.
        runs: blocks
            .filter(({ last }) => last && last.kind !== "press")
            .map(({ key, output, last }) => ({ key, pieces: output.pieces, last })),
    };
    try {
        sessionStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
        // Switched off, or the outputs are longer than a browser keeps: the page starts afresh.
    }
    byPress = true;
}

// What `keep` has kept of this page, once.
function take() {
    try {
        const kept = JSON.parse(sessionStorage.getItem(KEY));
        sessionStorage.removeItem(KEY);
        return kept?.page === location.pathname ? kept : null;
    } catch {
        return null;
    }
}

export function restore(blocks) {
    const kept = take();
    if (!kept) {
        return;
    }
    for (const { key, pieces, last } of kept.runs) {
        const block = blocks.find((own) => own.key === key);
        if (block) {
            block.output.show(pieces);
            block.conclude(last);
        }
    }
    const details = all("main details");
    if (details.length === kept.open.length) {
        details.forEach((each, i) => {
            each.open = kept.open[i];
        });
    }
    focusAgain(kept.focus, blocks);
    // Fonts and pictures have their sizes then.
    addEventListener("load", () => goTo(kept.place, blocks));
}
