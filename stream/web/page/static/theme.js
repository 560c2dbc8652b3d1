// Dark or light, as chosen or as the system says.

import { redraw } from "/page/cameras.js";
import { forgetColours } from "/page/charts.js";
import { $ } from "/page/page.js";

function drawAgain() { forgetColours(); redraw(); }

const system = matchMedia("(prefers-color-scheme: dark)");

$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && system.matches);
  document.documentElement.dataset.theme = localStorage.theme = dark ? "light" : "dark";
  drawAgain();
});
if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
system.addEventListener("change", drawAgain);
