// Small helpers for what the page shows.

export function element(name, className, text) {
    const made = document.createElement(name);
    if (className) {
        made.className = className;
    }
    if (text !== undefined) {
        made.textContent = text;
    }
    return made;
}

export function button(text, act) {
    const made = element("button", "run-button", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
}

export const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;

export const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
