// Makes the blocks of a page editable and runs them. Only pages that the press serves load this script, so that
// static pages have no buttons without a use.
import { Block } from "./block.js";
import { startProgress } from "./progress.js";
import { keep, restore } from "./reload.js";
import { onChange } from "./store.js";

// But not on the page with all pages, for printing.
if (!location.pathname.endsWith("/print.html")) {
    const blocks = [...document.querySelectorAll("main pre > code.editable")].map(
        (code, i) => new Block(code.parentElement, i + 1),
    );
    startProgress();
    restore(blocks);
    onChange(() => blocks.forEach((block) => block.readAgain()));

    const isRunning = () => blocks.some((block) => block.running);
    const isLost = () => blocks.some((block) => !block.edit.kept);
    document.addEventListener("press-reload", (event) => {
        if (!event.detail.wanted && (isRunning() || isLost())) {
            event.preventDefault();
        } else {
            keep(blocks);
        }
    });
    // The browser asks before it leaves a page with a text that is kept nowhere else.
    addEventListener("beforeunload", (event) => {
        if (isLost()) {
            event.preventDefault();
        }
    });
    // A page that goes away ends its runs.
    addEventListener("pagehide", () => blocks.forEach((block) => block.running?.abort("gone")));
}
