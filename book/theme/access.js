// For readers without a mouse or with a narrow screen, on served and on static pages: a link past the sidebar, a
// sidebar that opens by keyboard, and areas that show that they scroll and do so by keyboard. mdBook's templates have
// no place for the first two, and whether an area scrolls is known only in the page.
"use strict";
(() => {
    const main = document.querySelector("main");

    const skip = document.createElement("a");
    skip.className = "skip";
    skip.href = "#mdbook-content";
    skip.textContent = "Skip to the text";
    document.body.prepend(skip);

    // Names for parts that mdBook leaves without.
    const parts = {
        "mdbook-menu-bar": { role: "banner" },
        "mdbook-search-wrapper": { role: "search" },
        "mdbook-searchbar": { "aria-label": "Search this book" },
        "mdbook-help-popup": { role: "dialog", "aria-label": "Keyboard shortcuts" },
        "mdbook-sidebar-toggle": { role: "button", tabindex: "0" },
    };
    for (const [id, attributes] of Object.entries(parts)) {
        for (const [name, value] of Object.entries(attributes)) {
            document.getElementById(id)?.setAttribute(name, value);
        }
    }

    // mdBook's is a label, which no key reaches.
    const toggle = document.getElementById("mdbook-sidebar-toggle");
    toggle.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            toggle.click();
        }
    });

    // Areas that scroll sideways, and what a screen reader calls them. An editor has the focus in its text area; the
    // output of a block brings its name along.
    const AREAS = [
        ["pre > code", "code"],
        [".table-wrapper", "table"],
        [".math-display", "formula"],
        [".run-output > pre", "output"],
        [".run-output", null],
        [".run-editor", null],
    ];

    function look(area) {
        const name = AREAS.find(([selector]) => area.matches(selector))?.[1];
        if (name === undefined) {
            return;
        }
        const after = area.scrollWidth - area.clientWidth - area.scrollLeft;
        area.classList.toggle("more-before", area.scrollLeft > 1);
        area.classList.toggle("more-after", after > 1);
        const scrolls = area.scrollWidth > area.clientWidth + 1
            || (area.matches(".run-output") && area.scrollHeight > area.clientHeight + 1);
        const given = { tabindex: "0", ...(name && { role: "group", "aria-label": `${name}, scrolls sideways` }) };
        for (const [attribute, value] of Object.entries(area.matches(".run-editor") ? {} : given)) {
            if (scrolls) {
                area.setAttribute(attribute, value);
            } else {
                area.removeAttribute(attribute);
            }
        }
    }

    // Once a frame, however much changes: the window, the font, an edit, an output, what is folded away.
    let due = 0;
    function again() {
        cancelAnimationFrame(due);
        due = requestAnimationFrame(() => {
            main.querySelectorAll(AREAS.map(([selector]) => selector).join()).forEach(look);
        });
    }
    new ResizeObserver(again).observe(main);
    new MutationObserver(again).observe(main, { childList: true, characterData: true, subtree: true });
    document.fonts.ready.then(again);
    main.addEventListener("scroll", (event) => look(event.target), { capture: true, passive: true });

    // In an area that scrolls these keys scroll; elsewhere mdBook turns the page.
    main.addEventListener("keydown", (event) => {
        if (/^Arrow(Left|Right)$/.test(event.key) && event.target.matches('[tabindex="0"]')) {
            event.stopPropagation();
        }
    });
})();
