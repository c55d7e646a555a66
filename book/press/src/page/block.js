// A block of a page that can be edited and run: its editor, its bar of buttons, its output.
import { Edit } from "./edit.js";
import { Editor, parts } from "./editor.js";
import { button, count, element, meta } from "./element.js";
import { Output } from "./output.js";
import { keepSolved } from "./progress.js";
import { NOT_KEPT } from "./store.js";
import { run } from "./stream.js";

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(2)} s`;

// A hash of a text (FNV-1a), the same in every browser.
function hash(text) {
    let value = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) {
        value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
    }
    return (value >>> 0).toString(16).padStart(8, "0");
}

export class Block {
    constructor(pre, number) {
        const code = pre.querySelector("code");
        this.original = parts(code);
        const exercise = [...code.classList].find((name) => name.startsWith("exercise-"));
        this.exercise = exercise?.slice("exercise-".length);
        this.shouldPanic = code.classList.contains("should_panic");
        // An exercise keeps its edit when the book changes its stub. For other blocks, an edit belongs to
        // the code that it changed.
        this.key = exercise ?? hash(this.original.code);
        this.edit = new Edit(this.key, this.original.code);
        this.running = null;
        // How the last run ended, and after what time.
        this.last = null;
        this.build(pre, number);
        this.editor.text = this.edit.text;
        this.showState();
    }

    build(pre, number) {
        const exercise = this.exercise?.replaceAll("_", " ");
        const label = exercise ? `Exercise: ${exercise}` : `Code of block ${number}`;
        this.box = element("div", "run");
        pre.replaceWith(this.box);
        this.editor = new Editor(pre, this.original, label, {
            edited: () => this.edited(),
            run: () => this.start(),
            stop: () => this.running?.abort("stop"),
        });

        const bar = element("div", "run-bar");
        this.go = button("Run", (event) => this.press(event));
        this.go.classList.add("run-go");
        this.go.title = "Ctrl-Enter in the code";
        this.go.setAttribute("aria-keyshortcuts", "Control+Enter");
        this.back = button("Reset", () => this.editor.replace(this.original.code));
        this.back.title = "Brings the book's code back";
        bar.append(this.go, this.back, ...this.hiddenLines());
        bar.append(button("Copy", () => navigator.clipboard.writeText(this.editor.text).then(
            () => this.say("", "copied"),
            () => this.say("bad", "the browser does not let the page copy"),
        )));
        // Only where two tabs, or an import, changed the same block.
        this.next = button("Other version", () => this.takeNext());
        this.next.classList.add("run-next");
        this.next.title = "Shows the text that another tab or a file has of this block, and keeps this one";
        this.forget = button("Forget it", () => {
            this.edit.forget();
            this.showState();
        });
        this.forget.classList.add("run-forget");
        bar.append(this.next, this.forget);
        if (this.exercise) {
            const badge = element("span", "run-solved", "✓ was solved");
            badge.dataset.exercise = this.exercise;
            badge.hidden = true;
            bar.append(badge);
        }
        this.status = element("span", "run-status");
        this.status.setAttribute("role", "status");
        // Outside the status, so that a screen reader does not read out the seconds.
        this.clock = element("span", "run-clock");
        // An edit that is not kept, or a second version: apart from the status, which tells of runs.
        this.warning = element("span", "run-warning");
        this.warning.setAttribute("role", "status");
        bar.append(this.status, this.clock, this.warning);
        const output = element("div", "run-output");
        output.setAttribute("role", "group");
        output.setAttribute("aria-label", `Output of block ${number}`);
        this.output = new Output(output, (line, column) => this.editor.goTo(line, column));
        this.box.append(pre, bar, output);
    }

    // The button that shows the hidden lines, if there are any.
    hiddenLines() {
        const { hidden } = this.editor;
        if (hidden.length === 0) {
            return [];
        }
        const show = button("Hidden lines", () => {
            hidden.forEach((lines) => {
                lines.hidden = !lines.hidden;
            });
            show.setAttribute("aria-pressed", String(!hidden[0].hidden));
        });
        show.setAttribute("aria-pressed", "false");
        return [show];
    }

    edited() {
        this.edit.write(this.editor.text);
        this.showState();
        this.date();
    }

    // What stands below is of the code before an edit: says so, once.
    date() {
        if (this.last && !this.last.dated && !this.running) {
            this.last.dated = true;
            this.conclude(this.last);
            this.editor.mark([]);
        }
    }

    // Another tab, or an import, may have changed the text of this block.
    readAgain() {
        this.edit.read();
        if (this.edit.text !== this.editor.text) {
            this.showAnother();
        }
        this.showState();
    }

    takeNext() {
        this.edit.next();
        this.showAnother();
        this.showState();
    }

    showAnother() {
        this.editor.mark([]);
        this.editor.text = this.edit.text;
        this.date();
    }

    showState() {
        const others = this.edit.others.length;
        this.back.hidden = this.edit.text === this.original.code;
        this.next.hidden = others === 0;
        this.forget.hidden = others === 0;
        const versions = others === 0 ? "" : `changed elsewhere too: ${count(others, "other version")} kept`;
        this.warning.classList.toggle("bad", !this.edit.kept);
        const lost = this.edit.kept ? "" : `${NOT_KEPT}; copy the code before you close this tab`;
        this.warning.textContent = [lost, versions].filter(Boolean).join("; ");
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
        const code = this.editor.text;
        const size = new Blob([before, code, after]).size;
        const most = Number(meta("run-most"));
        if (size > most) {
            this.say("bad", `not run: the code has ${size >> 10} KiB, and a run takes ${most >> 10}`);
            return;
        }
        this.last = null;
        this.running = new AbortController();
        this.go.textContent = "Stop";
        this.box.classList.add("running");
        this.output.clear();
        this.editor.mark([]);
        this.say("", "");
        const begun = performance.now();
        let state = "";
        // Most runs end before a status could be read.
        const ticking = setInterval(() => {
            if (this.status.textContent !== state) {
                this.say("", state);
            }
            this.clock.textContent = seconds(begun);
        }, 400);
        let end;
        try {
            end = await run({ before, code, after }, this.running.signal, {
                state: (now) => {
                    state = now;
                },
                event: ({ compiler, out, err }) => {
                    this.output.text("compiler", compiler);
                    this.output.out(out);
                    this.output.text("err", err);
                },
            });
        } catch {
            end = this.running.signal.aborted
                ? { kind: "stopped", message: "stopped" }
                : { kind: "press", message: "the press does not answer: is `cargo book` still running?" };
        }
        clearInterval(ticking);
        this.output.end();
        this.running = null;
        this.go.textContent = "Run";
        this.box.classList.remove("running");
        this.clock.textContent = "";
        const [, ...rest] = end.message.split("\n");
        this.output.text("err", rest.join("\n"));
        // The check's own word: a block can print "solved" as well.
        const verdict = end.exercise === this.exercise ? end.verdict : undefined;
        const kept = verdict !== "solved" || keepSolved(this.exercise);
        this.conclude({ ...end, verdict, kept, time: seconds(begun) });
    }

    // Shows how a run ended.
    conclude(end) {
        this.last = end;
        this.editor.mark(end.lines ?? []);
        const [kind, words] = this.ending(end);
        this.say(end.dated ? "" : kind, end.dated ? `before this edit: ${words}` : words);
    }

    // How a run ended, as a class of the status and in words.
    ending({ kind, message, verdict, kept, time }) {
        const [first] = message.split("\n");
        if (kind === "stopped") {
            return ["", `stopped after ${time}`];
        }
        if (this.shouldPanic && (kind === "panic" || kind === "ok")) {
            const well = kind === "panic";
            return [well ? "good" : "bad", `${well ? "panicked, as it should" : "ran, and should have panicked"} (${time})`];
        }
        if (kind === "panic" && this.exercise) {
            return ["bad", `wrong (${time})`];
        }
        if (kind !== "ok") {
            return ["bad", kind === "press" || kind === "crate" ? first : `${first} (${time})`];
        }
        if (this.exercise && verdict === "solved") {
            return ["good", `solved (${time})${kept ? "" : `, but ${NOT_KEPT}`}`];
        }
        if (this.exercise) {
            return verdict ? ["", `${verdict} (${time})`] : ["bad", `ended before the exercise was checked (${time})`];
        }
        return ["good", `ran in ${time}${this.output.box.hidden ? ", and printed nothing" : ""}`];
    }
}
