// Loads an open page again when the press has rendered it anew, and shows the error when the press cannot.

const loaded = document.querySelector('meta[name="render"]')?.content;
let source = null;
let banner = null;

const STYLE = {
    position: "fixed",
    insetInline: "0",
    insetBlockEnd: "0",
    zIndex: "1000",
    maxBlockSize: "40vh",
    overflow: "auto",
    padding: "0.8em 1.2em",
    borderBlockStart: "4px solid #d55e00",
    background: "var(--quote-bg)",
    color: "var(--fg)",
    fontFamily: "var(--mono-font)",
    fontSize: "1.4rem",
    whiteSpace: "pre-wrap",
    overflowWrap: "anywhere",
};

// Shows these words and nodes below the page; none take the banner away.
function show(...content) {
    if (content.length === 0) {
        banner?.remove();
        banner = null;
        return;
    }
    if (!banner) {
        banner = document.createElement("div");
        banner.id = "press-problem";
        banner.setAttribute("role", "alert");
        Object.assign(banner.style, STYLE);
        document.body.append(banner);
    }
    banner.replaceChildren(...content);
}

// Loads the page again; returns false if a block of it runs or holds a text that is not kept. `wanted`: the reader
// asks for it, and knows.
function reload(wanted) {
    const asked = new CustomEvent("press-reload", { cancelable: true, detail: { wanted } });
    const agreed = document.dispatchEvent(asked);
    if (agreed) {
        location.reload();
    }
    return agreed;
}

function offer() {
    const load = document.createElement("button");
    load.type = "button";
    load.textContent = "Load it";
    load.addEventListener("click", () => reload(true));
    return ["This page was rendered anew. ", load];
}

function connect() {
    source = new EventSource(`/-/events?${location.pathname}`);
    source.onmessage = (event) => {
        const { render, problem } = JSON.parse(event.data);
        // A page that was open while the press was restarted learns of it here, too.
        if (render === loaded) {
            show(...(problem ? [`${problem}\nThis page is as it was before.`] : []));
        } else if (!reload(false)) {
            show(...(problem ? [`${problem}\n`] : []), ...offer());
        }
    };
}

function disconnect() {
    source?.close();
    source = null;
}

// A browser allows a host six connections, so a page that is not visible closes its own.
function follow() {
    if (document.visibilityState === "visible") {
        if (!source) {
            connect();
        }
    } else {
        disconnect();
    }
}
document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", disconnect);
addEventListener("pageshow", follow);
follow();
