// Reloads an open page when the press has rendered it anew, and shows the error when the press cannot.
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
            // A page that was open while the press was restarted learns of it here.
            if (status.render !== loaded) {
                location.reload();
            } else {
                show(status.problem);
            }
        };
    }

    // A browser allows a host six connections, so a page that is not visible closes its own.
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
