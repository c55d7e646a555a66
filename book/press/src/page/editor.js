// The text area of a block, on top of its highlighted and numbered code.
import { element } from "./element.js";

// The code of a block in the book: the shown part, and the hidden lines before and after it.
export function parts(code) {
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

export class Editor {
    // Turns `pre` into an editor. `label` is read out by screen readers; `act` has what the reader causes:
    // `edited`, `run` and `stop`.
    constructor(pre, { before, after }, label, act) {
        this.act = act;
        this.code = pre.querySelector("code");
        this.area = element("textarea");
        this.area.setAttribute("aria-label", label);
        for (const [name, value] of Object.entries({
            spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off", wrap: "off",
        })) {
            this.area.setAttribute(name, value);
        }
        this.area.addEventListener("input", () => this.edited());
        this.area.addEventListener("keydown", (event) => this.keyDown(event));
        this.numbers = element("span", "run-numbers hljs");
        this.numbers.setAttribute("aria-hidden", "true");

        pre.className = "run-editor hljs";
        pre.replaceChildren(this.numbers, this.code, this.area);
        this.hidden = [before, after].map((text, i) => {
            const lines = element("code", `run-hidden hljs ${i ? "after" : "before"}`);
            highlight(lines, text.replace(/\n$/, ""));
            lines.hidden = true;
            return lines;
        }).filter((_, i) => [before, after][i]);
        pre.append(...this.hidden);
    }

    get text() {
        return this.area.value;
    }

    // Shows another text, with the caret where it was.
    set text(text) {
        const { selectionStart, selectionEnd } = this.area;
        this.area.value = text;
        this.area.setSelectionRange(selectionStart, selectionEnd);
        this.draw();
    }

    // Draws the text of the text area below it.
    draw() {
        highlight(this.code, this.text);
        const lines = this.text.split("\n").length;
        if (this.numbers.childElementCount !== lines) {
            this.numbers.replaceChildren(
                ...Array.from({ length: lines }, (_, i) => element("span", "", String(i + 1))),
            );
        }
    }

    edited() {
        this.mark([]);
        this.draw();
        this.act.edited();
    }

    // Types into the text area, so that the browser's own undo works.
    type(text) {
        if (!document.execCommand("insertText", false, text)) {
            this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
            this.edited();
        }
    }

    // Types another text over all of this one.
    replace(text) {
        this.area.focus();
        this.area.select();
        this.type(text);
        this.area.setSelectionRange(0, 0);
    }

    keyDown(event) {
        if (event.key === "Escape") {
            this.act.stop();
        }
        if (event.isComposing || event.key !== "Enter" || event.shiftKey || event.altKey) {
            return;
        }
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) {
            this.act.run();
            return;
        }
        // A new line is indented as the line above, or a step further after an opening bracket.
        const above = this.text.slice(0, this.area.selectionStart);
        const indent = above.slice(above.lastIndexOf("\n") + 1).match(/^ */)[0];
        this.type(`\n${indent}${/[{([]\s*$/.test(above) ? "    " : ""}`);
    }

    goTo(line, column) {
        const lines = this.text.split("\n");
        const start = lines.slice(0, line - 1).reduce((at, above) => at + above.length + 1, 0);
        // A column counts characters, a text area UTF-16 units.
        const at = start + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
        this.area.focus();
        this.area.setSelectionRange(at, at);
        this.numbers.children[line - 1]?.scrollIntoView({ block: "nearest" });
    }

    // Marks the numbers of lines with an error.
    mark(lines) {
        [...this.numbers.children].forEach((number, i) => {
            number.classList.toggle("bad", lines.includes(i + 1));
        });
    }
}
