/* The search for stations: fills in the browser's location, if the user allows it. Without scripts the user types a place. */
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
        // Three decimals are about a hundred metres: enough for the search, and no more precise than needed.
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
