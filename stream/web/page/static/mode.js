// The mode of the site, in the header.

import { act } from "/page/alert.js";
import { $, make } from "/page/page.js";
import { called, t } from "/page/words.js";

let seen = 0;  // when the mode was last changed, as far as this page knows

export function showMode(mode) {
  $("mode").hidden = !mode;
  if (!mode) return;
  const choice = $("mode-choice"), shown = [...choice.options].map(option => option.value).join();
  if (shown !== mode.options.join()) choice.replaceChildren(...mode.options.map(name => make("option", { value: name }, called("mode_name", name))));
  if (document.activeElement !== choice) choice.value = mode.chosen;
  const chooses = !document.body.matches(".viewer, .bound");
  $("mode-state").textContent = chooses && mode.chosen !== "auto" ? "" : t("mode_now", { name: called("mode_name", mode.name) });
  seen = mode.changes?.mode?.at ?? 0;
}

$("mode-choice").addEventListener("change", () =>
  act("/api/mode", { mode: $("mode-choice").value, seen }, t("mode_set", { name: called("mode_name", $("mode-choice").value) })));
