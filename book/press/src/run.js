// Makes blocks editable, runs them, and keeps edits and solved exercises in the browser. Only pages that
// the press serves load this script, so that static pages have no buttons without a use.
"use strict";
(() => {
    // The page with all pages, for printing.
    if (location.pathname.endsWith("/print.html")) {
        return;
    }
    const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
    const token = meta("run-token");
    const mostCode = Number(meta("run-most"));
    const PROGRESS = "evenkeel-progress";
    const EDIT = "evenkeel-edit:";

    // The browser's storage. Without it, blocks still run.
    const store = {
        get(key) {
            try {
                return localStorage.getItem(key);
            } catch {
                return null;
            }
        },
        set(key, value) {
            try {
                if (value === null) {
                    localStorage.removeItem(key);
                } else {
                    localStorage.setItem(key, value);
                }
            } catch {
                // Full, or forbidden.
            }
        },
        keys() {
            try {
                return Object.keys(localStorage);
            } catch {
                return [];
            }
        },
    };

    function element(name, className, text) {
        const made = document.createElement(name);
        if (className) {
            made.className = className;
        }
        if (text !== undefined) {
            made.textContent = text;
        }
        return made;
    }

    function button(text, act) {
        const made = element("button", "run-button", text);
        made.type = "button";
        made.addEventListener("click", act);
        return made;
    }

    const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(2)} s`;
    const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

    // A hash of a text (FNV-1a), the same in every browser.
    function hash(text) {
        let value = 0x811c9dc5;
        for (let i = 0; i < text.length; i++) {
            value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
        }
        return (value >>> 0).toString(16).padStart(8, "0");
    }

    // Progress ------------------------------------------------------------------------------------

    function progress() {
        try {
            const kept = JSON.parse(store.get(PROGRESS));
            return kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
        } catch {
            return {};
        }
    }

    const isSolved = (name) => Object.hasOwn(progress(), name) && progress()[name] === "solved";

    function showProgress() {
        const states = [...document.querySelectorAll(".exercise-state")];
        for (const state of states) {
            const solved = isSolved(state.dataset.exercise);
            state.textContent = solved ? "✓" : "○";
            state.setAttribute("role", "img");
            state.setAttribute("aria-label", solved ? "solved" : "not solved yet");
            state.title = state.getAttribute("aria-label");
            state.classList.toggle("solved", solved);
        }
        const total = document.querySelector("#exercise-progress .exercise-count");
        if (total) {
            const solved = states.filter((state) => state.classList.contains("solved")).length;
            total.textContent = `${solved} of ${states.length} solved`;
        }
        document.querySelectorAll(".run-solved").forEach((badge) => {
            badge.hidden = !isSolved(badge.dataset.exercise);
        });
    }

    function exported() {
        const edits = {};
        for (const key of store.keys().filter((own) => own.startsWith(EDIT)).sort()) {
            edits[key.slice(EDIT.length)] = store.get(key);
        }
        return JSON.stringify({ evenkeel: 1, progress: progress(), edits }, null, 2);
    }

    // Adds the contents of a file that `exported` made, or says in one line why it cannot.
    function imported(text) {
        const refuse = (what) => `not imported: expected a file that Export wrote, got ${what}`;
        let file;
        try {
            file = JSON.parse(text);
        } catch {
            return refuse("something else than JSON");
        }
        const entries = (part) =>
            part && typeof part === "object" && !Array.isArray(part) ? Object.entries(part) : null;
        const solved = entries(file?.progress);
        const edits = entries(file?.edits);
        if (file?.evenkeel !== 1 || !solved || !edits) {
            return refuse("other JSON");
        }
        const odd = [
            ...solved.filter(([, state]) => state !== "solved"),
            ...edits.filter(([, code]) => typeof code !== "string" || code.length > mostCode),
        ];
        if (odd.length > 0) {
            return refuse(`${JSON.stringify(odd[0]).slice(0, 60)} in it`);
        }
        store.set(PROGRESS, JSON.stringify({ ...progress(), ...Object.fromEntries(solved) }));
        for (const [key, code] of edits) {
            store.set(EDIT + key, code);
        }
        showProgress();
        return `imported: ${count(solved.length, "solved exercise")}, ${count(edits.length, "edited block")}`;
    }

    function buildProgress() {
        const box = document.getElementById("exercise-progress");
        if (!box) {
            return;
        }
        const status = element("span", "run-status");
        status.setAttribute("role", "status");
        const save = button("Export", () => {
            const link = element("a");
            link.href = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
            link.download = "evenkeel-progress.json";
            link.click();
            setTimeout(() => URL.revokeObjectURL(link.href), 1000);
            status.textContent = "exported to evenkeel-progress.json";
        });
        const file = element("input");
        file.type = "file";
        file.accept = ".json,application/json";
        file.hidden = true;
        file.addEventListener("change", async () => {
            const chosen = file.files[0];
            if (chosen) {
                status.textContent = imported(await chosen.text());
                file.value = "";
            }
        });
        const load = button("Import", () => file.click());
        box.classList.add("run-bar");
        box.replaceChildren(element("strong", "exercise-count"), save, load, file, status);
    }

    // Output --------------------------------------------------------------------------------------

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

    class Output {
        constructor(box, goTo) {
            this.box = box;
            this.goTo = goTo;
            this.clear();
        }

        clear() {
            this.box.replaceChildren();
            this.box.hidden = true;
            this.held = "";
            this.printed = "";
        }

        add(node) {
            this.box.append(node);
            this.box.hidden = false;
        }

        text(kind, text) {
            if (!text) {
                return;
            }
            let last = this.box.lastElementChild;
            if (!last?.classList.contains(kind)) {
                last = element("pre", kind);
                this.add(last);
            }
            // A place in the block becomes a link.
            const pieces = kind === "out" ? [text] : text.split(/\b(line \d+, column \d+|(?<=\bat )line \d+)/);
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

        // Shows what the program printed: text, and pictures when they are complete.
        out(text, ended) {
            this.printed += text;
            this.held += text;
            for (;;) {
                const start = this.held.search(/<svg[\s>]/);
                const end = start < 0 ? -1 : this.held.indexOf("</svg>", start);
                if (end < 0) {
                    break;
                }
                this.text("out", this.held.slice(0, start));
                const source = this.held.slice(start, end + 6);
                const image = picture(source);
                if (image) {
                    this.add(image);
                } else {
                    this.text("out", source);
                }
                this.held = this.held.slice(end + 6).replace(/^\n/, "");
            }
            // An incomplete picture waits, and so does text that may become a picture.
            const waits = ended ? -1 : this.held.search(/<svg[\s>]|<(s(vg?)?)?$/);
            const shown = waits < 0 ? this.held.length : waits;
            this.text("out", this.held.slice(0, shown));
            this.held = this.held.slice(shown);
        }
    }

    // Blocks --------------------------------------------------------------------------------------

    // The code of a block in the book: the shown part, and the hidden lines before and after it.
    function parts(code) {
        const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
        const runs = [];
        while (walker.nextNode()) {
            const hidden = walker.currentNode.parentElement.closest(".boring") !== null;
            if (runs.at(-1)?.hidden === hidden) {
                runs.at(-1).text += walker.currentNode.data;
            } else {
                runs.push({ hidden, text: walker.currentNode.data });
            }
        }
        const before = runs[0]?.hidden ? runs.shift().text : "";
        const after = runs.at(-1)?.hidden ? runs.pop().text : "";
        const shown = runs.map((run) => run.text).join("").replace(/\n$/, "");
        return { before, code: shown, after };
    }

    function highlight(code, text) {
        // The newline gives an empty last line its height.
        code.innerHTML = hljs.highlight("rust", `${text}\n`, true).value;
    }

    class Block {
        constructor(pre, number) {
            const code = pre.querySelector("code");
            const original = parts(code);
            const exercise = [...code.classList].find((name) => name.startsWith("exercise-"));
            this.original = original;
            this.exercise = exercise?.slice("exercise-".length);
            this.shouldPanic = code.classList.contains("should_panic");
            // An exercise keeps its edit when the book changes its stub. For other blocks, an edit belongs to
            // the code that it changed.
            this.key = EDIT + (exercise ?? hash(original.code));
            this.running = null;
            this.build(pre, code, number);
        }

        build(pre, code, number) {
            const { before, after } = this.original;
            this.code = code;
            this.area = element("textarea");
            const exercise = this.exercise?.replaceAll("_", " ");
            this.area.setAttribute("aria-label", exercise ? `Exercise: ${exercise}` : `Code of block ${number}`);
            for (const [name, value] of Object.entries({
                spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off", wrap: "off",
            })) {
                this.area.setAttribute(name, value);
            }
            this.area.addEventListener("input", () => this.edited());
            this.area.addEventListener("keydown", (event) => this.key_down(event));
            this.numbers = element("span", "run-numbers hljs");
            this.numbers.setAttribute("aria-hidden", "true");

            this.box = element("div", "run");
            pre.replaceWith(this.box);
            pre.className = "run-editor hljs";
            pre.replaceChildren(this.numbers, code, this.area);
            const hidden = [before, after].map((text, i) => {
                const lines = element("code", `run-hidden hljs ${i ? "after" : "before"}`);
                highlight(lines, text.replace(/\n$/, ""));
                lines.hidden = true;
                return lines;
            }).filter((_, i) => [before, after][i]);
            pre.append(...hidden);

            const bar = element("div", "run-bar");
            this.go = button("Run", (event) => this.press(event));
            this.go.classList.add("run-go");
            this.go.title = "Ctrl-Enter in the code";
            this.go.setAttribute("aria-keyshortcuts", "Control+Enter");
            this.back = button("Reset", () => this.reset());
            this.back.title = "Brings the book's code back";
            bar.append(this.go, this.back);
            if (hidden.length > 0) {
                const show = button("Hidden lines", () => {
                    hidden.forEach((lines) => {
                        lines.hidden = !lines.hidden;
                    });
                    show.setAttribute("aria-pressed", String(!hidden[0].hidden));
                });
                show.setAttribute("aria-pressed", "false");
                bar.append(show);
            }
            bar.append(button("Copy", () => navigator.clipboard.writeText(this.area.value).then(
                () => this.say("", "copied"),
                () => this.say("bad", "the browser does not let the page copy"),
            )));
            if (this.exercise) {
                const badge = element("span", "run-solved", "✓ solved");
                badge.dataset.exercise = this.exercise;
                badge.hidden = true;
                bar.append(badge);
            }
            this.status = element("span", "run-status");
            this.status.setAttribute("role", "status");
            // Outside the status, so that a screen reader does not read out the seconds.
            this.clock = element("span", "run-clock");
            bar.append(this.status, this.clock);
            const output = element("div", "run-output");
            output.setAttribute("role", "group");
            output.setAttribute("aria-label", `Output of block ${number}`);
            this.output = new Output(output, (line, column) => this.goTo(line, column));
            this.box.append(pre, bar, output);

            this.area.value = store.get(this.key) ?? this.original.code;
            this.show();
        }

        // Draws the text of the text area below it.
        show() {
            const text = this.area.value;
            highlight(this.code, text);
            const lines = text.split("\n").length;
            if (this.numbers.childElementCount !== lines) {
                this.numbers.replaceChildren(
                    ...Array.from({ length: lines }, (_, i) => element("span", "", String(i + 1))),
                );
            }
            this.back.hidden = text === this.original.code;
        }

        edited() {
            const text = this.area.value;
            store.set(this.key, text === this.original.code ? null : text);
            this.mark([]);
            this.show();
        }

        // Types into the text area, so that the browser's own undo works.
        type(text) {
            if (!document.execCommand("insertText", false, text)) {
                this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
                this.edited();
            }
        }

        key_down(event) {
            if (event.key === "Escape") {
                this.running?.abort("stop");
            }
            if (event.isComposing || event.key !== "Enter" || event.shiftKey || event.altKey) {
                return;
            }
            event.preventDefault();
            if (event.ctrlKey || event.metaKey) {
                this.start();
                return;
            }
            // A new line is indented as the line above, or a step further after an opening bracket.
            const above = this.area.value.slice(0, this.area.selectionStart);
            const indent = above.slice(above.lastIndexOf("\n") + 1).match(/^ */)[0];
            this.type(`\n${indent}${/[{([]\s*$/.test(above) ? "    " : ""}`);
        }

        reset() {
            this.area.focus();
            this.area.select();
            this.type(this.original.code);
            this.area.setSelectionRange(0, 0);
        }

        goTo(line, column) {
            const lines = this.area.value.split("\n");
            const start = lines.slice(0, line - 1).reduce((at, above) => at + above.length + 1, 0);
            // A column counts characters, a text area UTF-16 units.
            const at = start + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
            this.area.focus();
            this.area.setSelectionRange(at, at);
            this.numbers.children[line - 1]?.scrollIntoView({ block: "nearest" });
        }

        mark(lines) {
            [...this.numbers.children].forEach((number, i) => {
                number.classList.toggle("bad", lines.includes(i + 1));
            });
        }

        say(kind, text) {
            this.status.className = `run-status ${kind}`;
            this.status.textContent = text;
        }

        press(event) {
            // The second half of a double click is not meant to stop the run.
            if (this.running && event.detail < 2) {
                this.running.abort("stop");
            } else {
                this.start();
            }
        }

        async start() {
            if (this.running) {
                return;
            }
            const { before, after } = this.original;
            const code = this.area.value;
            const size = new Blob([before, code, after]).size;
            if (size > mostCode) {
                this.say("bad", `not run: the code has ${size >> 10} KiB, and a run takes ${mostCode >> 10}`);
                return;
            }
            this.running = new AbortController();
            this.go.textContent = "Stop";
            this.box.classList.add("running");
            this.output.clear();
            this.mark([]);
            this.say("", "");
            const begun = performance.now();
            this.state = "running";
            // Most runs end before a status could be read.
            const ticking = setInterval(() => {
                if (this.status.textContent !== this.state) {
                    this.say("", this.state);
                }
                this.clock.textContent = seconds(begun);
            }, 400);
            let end;
            try {
                end = await this.follow({ before, code, after }, this.running.signal);
            } catch {
                end = this.running.signal.aborted
                    ? { kind: "stopped", message: "stopped" }
                    : { kind: "press", message: "the press does not answer: is `cargo book` still running?" };
            }
            clearInterval(ticking);
            this.output.out("", true);
            this.running = null;
            this.go.textContent = "Run";
            this.box.classList.remove("running");
            this.clock.textContent = "";
            this.conclude(end, seconds(begun));
        }

        // Shows the events of a run until its end.
        async follow(code, signal) {
            const answer = await fetch("/-/run", {
                method: "POST",
                headers: { "Content-Type": "application/json", "X-Evenkeel-Token": token },
                body: JSON.stringify(code),
                signal,
            });
            if (!answer.ok) {
                return { kind: "press", message: (await answer.text()).trim() };
            }
            const STATES = {
                building: "waiting for the crate to be compiled (once after each change of its sources)",
                compiling: "compiling",
                running: "running",
            };
            const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
            let text = "";
            let end = null;
            for (;;) {
                const { done, value } = await reader.read();
                if (done) {
                    break;
                }
                text += value;
                const lines = text.split("\n");
                text = lines.pop();
                for (const event of lines.map((line) => JSON.parse(line))) {
                    if (event.waiting) {
                        this.state = `waiting for ${count(event.waiting, "other run")}`;
                    }
                    this.state = STATES[event.state] ?? this.state;
                    this.output.text("compiler", event.compiler);
                    this.output.out(event.out ?? "", false);
                    this.output.text("err", event.err);
                    if (event.end) {
                        end = { kind: event.end, message: event.message, lines: event.lines };
                    }
                }
            }
            return end ?? { kind: "press", message: "the press ended before the run did" };
        }

        conclude({ kind, message, lines = [] }, time) {
            const printed = (start) => this.output.printed.split("\n").some((line) => line.startsWith(start));
            this.mark(lines);
            const [first, ...rest] = message.split("\n");
            if (kind === "stopped") {
                this.say("", `stopped after ${time}`);
            } else if (this.shouldPanic && (kind === "panic" || kind === "ok")) {
                const well = kind === "panic";
                this.say(well ? "good" : "bad", `${well ? "panicked, as it should" : "ran, and should have panicked"} (${time})`);
            } else if (kind === "panic" && this.exercise) {
                this.say("bad", `wrong (${time})`);
            } else if (kind !== "ok") {
                this.output.text("err", rest.join("\n"));
                this.say("bad", kind === "press" || kind === "crate" ? first : `${first} (${time})`);
            } else if (this.exercise && printed("solved")) {
                store.set(PROGRESS, JSON.stringify({ ...progress(), [this.exercise]: "solved" }));
                showProgress();
                this.say("good", `solved (${time})`);
            } else if (this.exercise && printed("not solved yet")) {
                this.say("", `not solved yet (${time})`);
            } else {
                const silent = this.output.box.hidden ? ", and printed nothing" : "";
                this.say("good", `ran in ${time}${silent}`);
            }
        }
    }

    const blocks = [...document.querySelectorAll("main pre > code.editable")].map(
        (code, i) => new Block(code.parentElement, i + 1),
    );
    buildProgress();
    showProgress();
    addEventListener("storage", showProgress);
    // A page that goes away ends its runs.
    addEventListener("pagehide", () => blocks.forEach((block) => block.running?.abort("gone")));
})();
