// A service worker that another program left at this port stands between this page and the press, and sees all that the
// page sends. So a page that has one gives up its token and loads again without the worker. This script stands in the
// page itself, for a worker could answer for a file.
"use strict";
(() => {
    const workers = navigator.serviceWorker;
    if (!workers) {
        return;
    }
    const controlled = workers.controller !== null;
    if (controlled) {
        document.querySelector('meta[name="run-token"]')?.remove();
    }
    workers.getRegistrations().then(async (all) => {
        await Promise.all(all.map((worker) => worker.unregister()));
        if (controlled) {
            location.reload();
        }
    });
})();
