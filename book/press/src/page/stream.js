// One run of a block: the press is asked, and tells in lines of JSON what happens until the end.
import { count, meta } from "./element.js";

// The press runs one block at a time, and a browser allows a host six connections. So one run at a time is sent, of
// all tabs of this browser, and the others wait here; a page can be loaded meanwhile.
function inTurn(signal, waits, act) {
    if (!navigator.locks) {
        return act();
    }
    waits();
    return navigator.locks.request("evenkeel-run", { signal }, act);
}

const STATES = {
    building: "waiting for the crate to be compiled",
    compiling: "compiling",
    running: "running",
};

function stateOf(event) {
    if (event.waiting) {
        return `waiting for ${count(event.waiting, "other run")}`;
    }
    if (event.state === "building" && event.of) {
        const name = event.crate ? `: ${event.crate}` : "";
        return `waiting for the crate to be compiled, ${event.done} of ${event.of}${name}`;
    }
    return STATES[event.state];
}

// Runs the code. `show.state` is told what the run does now, `show.event` everything else that comes. Returns the
// end: its kind, a message, the lines with errors, and the word of an exercise's check.
export function run(code, signal, show) {
    return inTurn(signal, () => show.state("waiting for another run to end"), async () => {
        show.state("running");
        const answer = await fetch("/-/run", {
            method: "POST",
            headers: { "Content-Type": "application/json", "X-Evenkeel-Token": meta("run-token") },
            body: JSON.stringify(code),
            signal,
        });
        if (!answer.ok) {
            return { kind: "press", message: (await answer.text()).trim() };
        }
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
                const state = stateOf(event);
                if (state) {
                    show.state(state);
                }
                show.event(event);
                if (event.end) {
                    end = { ...event, kind: event.end };
                }
            }
        }
        return end ?? { kind: "press", message: "the press ended before the run did" };
    });
}
