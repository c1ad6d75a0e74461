// Replaces what changes on a page with what the node sends. Without it the page is whole, just still.
"use strict";
(() => {
  const spot = document.querySelector("[data-live]");
  if (!spot || !window.EventSource) return;
  const state = document.getElementById("live-state");
  const source = new EventSource(spot.dataset.live);
  source.addEventListener("open", () => { state.textContent = "live"; });
  source.addEventListener("error", () => { state.textContent = "the node does not answer; trying again"; });
  source.addEventListener("part", (event) => {
    // Whoever has a control in there in hand is not to lose it.
    const held = spot.contains(document.activeElement) && document.activeElement !== document.body;
    if (!held) spot.innerHTML = JSON.parse(event.data);
  });
  window.addEventListener("pagehide", () => source.close());
})();
