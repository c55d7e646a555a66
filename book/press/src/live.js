// Keeps an open page fresh: reloads it when the press has rendered other pages, and shows what is wrong when it cannot.
"use strict";
(() => {
    const loaded = document.querySelector('meta[name="render"]')?.content;
    let source = null;
    let banner = null;

    function show(problem) {
        if (!problem) {
            banner?.remove();
            banner = null;
            return;
        }
        if (!banner) {
            banner = document.createElement("div");
            banner.id = "press-problem";
            banner.setAttribute("role", "alert");
            Object.assign(banner.style, {
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
            });
            document.body.append(banner);
        }
        banner.textContent = problem + "\nThis page is as it was before.";
    }

    function connect() {
        source = new EventSource("/-/events");
        source.onmessage = (event) => {
            const status = JSON.parse(event.data);
            // A page that was open while the press was restarted is told on the way back.
            if (status.render !== loaded) {
                location.reload();
            } else {
                show(status.problem);
            }
        };
    }

    // A browser grants a host six connections, so a page that nobody looks at gives its one back.
    function follow() {
        if (document.visibilityState === "visible") {
            if (!source) {
                connect();
            }
        } else {
            source?.close();
            source = null;
        }
    }
    document.addEventListener("visibilitychange", follow);
    addEventListener("pagehide", () => {
        source?.close();
        source = null;
    });
    addEventListener("pageshow", follow);
    follow();
})();
