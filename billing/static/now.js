// On the page that looks again by itself: says that the portal cannot be reached, for the numbers there are old then. The
// next answer brings new numbers, and puts the sentence away.
"use strict";
document.addEventListener("htmx:sendError", () => {
  for (const one of document.querySelectorAll("[data-away]")) one.hidden = false;
});
