// The dialog of the modes: which cameras each of them watches. It is saved in the site file.

import { placeAlert, say } from "/page/alert.js";
import { $, ask, make } from "/page/page.js";
import { refused } from "/page/refusals.js";
import { called, t } from "/page/words.js";

async function openModes() {
  let found;
  try { found = await ask("/api/modes"); } catch (error) { say(error.message); return; }
  const { modes, proposed, why } = found, names = Object.keys(modes), cameras = Object.keys(modes[names[0]] ?? {});
  const watched = structuredClone(modes);
  const box = (camera, name) => make("td", {}, make("input", { type: "checkbox", checked: modes[name][camera], "aria-label": `${camera}, ${name}`,
    onchange: event => { watched[name][camera] = event.target.checked; } }));
  const table = make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("modes") }, make("table", {},
    make("thead", {}, make("tr", {}, ...[t("camera"), ...names.map(name => called("mode_name", name))].map(text => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...cameras.map(camera => make("tr", {}, make("th", { scope: "row" }, camera), ...names.map(name => box(camera, name)))))));
  const said = make("p", { class: "problem", role: "status" });
  $("modes-body").replaceChildren(
    make("div", { class: "head" }, make("h2", { id: "modes-title" }, t("modes")), make("button", { type: "button", onclick: () => $("modes").close() }, t("close"))),
    ...(why ? [make("p", {}, refused(why))] : [make("p", { class: "faint" }, t(proposed ? "modes_proposed" : "modes_help")), table, said,
      make("div", { class: "bar" }, make("button", { type: "button", id: "modes-save", onclick: () => save(watched, modes, said) }, t("save")))]));
  $("modes").showModal();
  placeAlert();
}

async function save(modes, before, said) {
  let done;
  try { done = await ask("/api/modes", { modes, before }); } catch (error) { said.textContent = error.message; return; }
  if (!done.why) { $("modes").close(); say(t("modes_saved"), { good: true }); return; }
  said.replaceChildren(t("not_added", { why: refused(done.why) }), make("pre", { tabindex: 0, "aria-label": t("for_site_file") }, done.yaml));
}

$("set-modes").addEventListener("click", openModes);
$("modes").addEventListener("close", () => { $("modes-body").replaceChildren(); placeAlert(); });
