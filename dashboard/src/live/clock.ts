import { signal } from "@preact/signals";

/** The present time, each second while the tab is seen. */
export const now = signal(Date.now());

function tick(): void {
  if (!document.hidden) now.value = Date.now();
}

setInterval(tick, 1_000);
document.addEventListener("visibilitychange", tick);
