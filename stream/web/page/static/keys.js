// Keys: j and k move through the events of a view, a acknowledges, t and f judge; Enter opens, as on any button.

import { acknowledge, judge } from "/page/detail.js";
import { $ } from "/page/page.js";
import { view } from "/page/views.js";

function rows() { return [...document.querySelectorAll(`#${view()} li[data-id] > .event`)]; }

function move(step) {
  const all = rows(), at = all.findIndex(button => button.parentElement.contains(document.activeElement));
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

addEventListener("keydown", key => {
  if (key.ctrlKey || key.metaKey || key.altKey || key.target.closest("input, select, textarea")) return;
  const dialog = $("detail"), pressed = key.key.toLowerCase();
  if (!document.querySelector("dialog[open]") && (pressed === "j" || pressed === "k")) { move(pressed === "j" ? 1 : -1); return; }
  const id = dialog.open ? dialog.dataset.id : key.target.closest("li[data-id]")?.dataset.id;
  if (!id || document.body.classList.contains("viewer")) return;
  if (pressed === "a" && (!dialog.open || dialog.querySelector("#acknowledge"))) acknowledge(id);
  const verdict = { t: "true", f: "false_alarm" }[pressed];
  if (verdict && (!dialog.open || dialog.querySelector("[data-verdict]"))) judge(id, verdict);
});
