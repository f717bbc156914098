/* The search for stations: offers the browser's own place, where the browser may tell it. Without this the place is typed. */
"use strict";
(() => {
  const button = document.getElementById("place-here");
  const field = document.getElementById("where");
  const told = document.getElementById("place-told");
  if (!button || !field || !window.isSecureContext || !("geolocation" in navigator)) {
    return;
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    told.textContent = button.dataset.wait;
    navigator.geolocation.getCurrentPosition(
      (found) => {
        // Three decimals are about a hundred metres: near enough, and no more than is needed.
        field.value = `${found.coords.latitude.toFixed(3)}, ${found.coords.longitude.toFixed(3)}`;
        field.form.requestSubmit();
      },
      () => {
        told.textContent = button.dataset.denied;
      },
      { maximumAge: 300000, timeout: 10000 },
    );
  });
})();
