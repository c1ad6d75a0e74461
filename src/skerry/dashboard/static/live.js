// Replaces what changes on a page with what the node sends. Without it the page is whole, just still.
"use strict";
(() => {
  const AGAIN_MILLISECONDS = 5000;
  const spot = document.querySelector("[data-live]");
  if (!spot || !window.EventSource) return;
  const state = document.getElementById("live-state");
  const time = document.querySelector("footer time");
  let source = null;
  // What is not live any more loses its colours: an old "good" must not look like a new one.
  const say = (text, lost) => {
    state.textContent = text;
    state.classList.toggle("lost", lost);
    spot.classList.toggle("old", lost);
  };
  const part = (event) => {
    // Whoever has a control in there in hand is not to lose it.
    const held = spot.contains(document.activeElement) && document.activeElement !== document.body;
    if (held) return;
    spot.innerHTML = JSON.parse(event.data);
    // The node's clock, as in the page itself: what is told as "5 s ago" is meant by that one.
    time.dateTime = event.lastEventId;
    time.textContent = `${event.lastEventId.slice(0, 19).replace("T", " ")} UTC`;
  };
  const begin = () => {
    source = new EventSource(spot.dataset.live);
    source.addEventListener("open", () => say("live", false));
    source.addEventListener("part", part);
    source.addEventListener("error", () => {
      say("Not live: the node does not answer; trying again", true);
      // After an answer that is no stream a browser gives up: the node may be starting.
      if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MILLISECONDS);
    });
  };
  // Whoever is logged out is sent to the login, which is no stream: trying goes on for nothing.
  const again = async () => {
    const stop = new AbortController();
    try {
      const answer = await fetch(spot.dataset.live, { redirect: "manual", signal: stop.signal });
      stop.abort();
      if (answer.type === "opaqueredirect") {
        say("You are logged out, and what you see is old. ", true);
        const back = document.createElement("a");
        back.href = location.href;
        back.textContent = "Log in again";
        state.append(back);
      } else begin();
    } catch {
      setTimeout(again, AGAIN_MILLISECONDS);
    }
  };
  begin();
  window.addEventListener("pagehide", () => source.close());
})();
