// When the browser asks for a service worker that another program left at this port, the press answers with this one.
// It removes itself and loads its pages again, from the press.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) =>
    event.waitUntil(
        (async () => {
            await registration.unregister();
            for (const page of await clients.matchAll({ type: "window" })) {
                // A page that another worker has by now is not this one's to load.
                page.navigate(page.url).catch(() => {});
            }
        })(),
    ),
);
