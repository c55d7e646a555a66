// Which exercises are solved, and the file that carries this and the edits to another browser.
import { button, count, element } from "./element.js";
import { EDIT, OTHERS, PROGRESS, announce, get, getJson, keys, onChange, set, setAll } from "./store.js";

const progress = () => getJson(PROGRESS, {});
const isSolved = (name) => Object.hasOwn(progress(), name) && progress()[name] === "solved";

// Whether it is kept that the exercise is solved.
export function keepSolved(name) {
    const kept = set(PROGRESS, JSON.stringify({ ...progress(), [name]: "solved" }));
    showProgress();
    return kept;
}

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
    const pairs = (start, value) => keys(start).map((key) => [key.slice(start.length), value(key)]);
    const edits = Object.fromEntries(pairs(EDIT, get));
    const others = Object.fromEntries(pairs(OTHERS, (key) => getJson(key, [])));
    return JSON.stringify({ evenkeel: 1, progress: progress(), edits, others }, null, 2);
}

// Adds the contents of a file that `exported` made, and says in one line what came of it. Where this browser has
// another text of a block, that text stays beside the file's.
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
    const others = entries(file?.others ?? {});
    if (file?.evenkeel !== 1 || !solved || !edits || !others) {
        return refuse("other JSON");
    }
    const isText = (code) => typeof code === "string";
    const odd = [
        ...solved.filter(([, state]) => state !== "solved"),
        ...edits.filter(([, code]) => !isText(code)),
        ...others.filter(([, codes]) => !Array.isArray(codes) || !codes.every(isText)),
    ];
    if (odd.length > 0) {
        return refuse(`${JSON.stringify(odd[0]).slice(0, 60)} in it`);
    }

    const all = [[PROGRESS, JSON.stringify({ ...progress(), ...Object.fromEntries(solved) })]];
    let both = 0;
    const theirs = new Map(others);
    for (const [key, code] of edits) {
        const own = get(EDIT + key);
        const differs = own !== null && own !== code;
        both += differs ? 1 : 0;
        theirs.set(key, [...(theirs.get(key) ?? []), ...(differs ? [own] : [])]);
        all.push([EDIT + key, code]);
    }
    for (const [key, codes] of theirs) {
        const kept = new Set([...getJson(OTHERS + key, []), ...codes]);
        all.push([OTHERS + key, kept.size > 0 ? JSON.stringify([...kept]) : null]);
    }
    if (!setAll(all)) {
        return "not imported: this browser's storage is full or switched off; all is as it was";
    }
    announce();
    const beside = both > 0 ? `; of ${count(both, "block")} your own text is kept beside the file's` : "";
    return `imported: ${count(solved.length, "solved exercise")}, ${count(edits.length, "edited block")}${beside}`;
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
    const where = element("span", "run-clock", `kept in this browser for ${location.host} alone`);
    where.title = "At another port or in another browser: Export here, Import there";
    box.classList.add("run-bar");
    box.replaceChildren(element("strong", "exercise-count"), save, load, file, where, status);
}

export function startProgress() {
    buildProgress();
    showProgress();
    onChange(showProgress);
}
