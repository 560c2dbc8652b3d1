// The wizard that finds cameras: search, choose, name, add to the site file.

import { placeAlert, say } from "/page/alert.js";
import { $, ask, make, path } from "/page/page.js";
import { refused } from "/page/refusals.js";
import { t } from "/page/words.js";

const LOOK_EVERY = 1000;
let looking;

async function find() {
  const hosts = make("input", { name: "hosts", placeholder: t("find_hosts_hint"), autocapitalize: "none", spellcheck: "false" });
  const user = make("input", { name: "user", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const password = make("input", { name: "password", type: "password", autocomplete: "new-password" });
  const form = make("form", { onsubmit: event => {
    event.preventDefault();
    search({ hosts: hosts.value.split(/[\s,]+/).filter(Boolean), user: user.value.trim(), password: password.value });
  } }, make("label", {}, t("find_hosts"), hosts),
    make("label", {}, t("find_user"), user), make("label", {}, t("password"), password), make("button", { id: "find-search" }, t("search")));
  $("find-body").replaceChildren(
    make("div", { class: "head" }, make("h2", { id: "find-title" }, t("find")), make("button", { type: "button", onclick: () => $("find").close() }, t("close"))),
    form, make("div", { id: "find-found", "aria-live": "polite" }));
  $("find").showModal();
  placeAlert();
  const state = await ask("/api/search").catch(() => null);
  if (state && state.state !== "idle") look();  // somebody has searched before
}

const found = (...parts) => $("find-found")?.replaceChildren(...parts);
const told = text => make("p", {}, text);

async function search(wanted) {
  try { await ask("/api/search", wanted); } catch (error) { found(told(error.message)); return; }
  look();
}

async function look() {
  clearTimeout(looking);
  if (!$("find").open) return;
  let state;
  try { state = await ask("/api/search"); } catch (error) { found(told(error.message)); return; }
  if (state.state === "searching") {
    found(told(t("searching_cameras")));
    looking = setTimeout(look, LOOK_EVERY);
    return;
  }
  show(state);
}

function show({ cameras, problems }) {
  const fresh = cameras.filter(camera => camera.known === null);
  const entries = cameras.map(camera => {
    const picture = make("img", { src: path("api", "search", camera.number, "picture.jpg") + `?${Date.now()}`, alt: t("picture_named", { name: camera.shown }) });
    const about = make("span", { class: "faint" }, [...new Set([camera.shown, camera.maker, camera.host, camera.sizes])].join(", "));
    if (camera.known !== null) return make("li", {}, picture, make("strong", {}, camera.known), about, make("span", {}, t("already_known")));
    return make("li", {}, picture, make("label", {}, make("input", { type: "checkbox", checked: true, "data-camera": camera.number }), ` ${t("add")}`),
      make("label", {}, `${t("name")} `, make("input", { value: camera.name, maxlength: 64, pattern: "[a-zA-Z0-9_\\-]{1,64}", title: t("name_allowed"), "data-name": camera.number })), about);
  });
  found(...(cameras.length ? [] : [told(t("none_found"))]), make("ol", {}, ...entries),
    ...(fresh.length ? [make("button", { type: "button", id: "find-add", onclick: add }, t("add_to_file"))] : []),
    ...(problems.length ? [make("h3", {}, t("not_usable")), ...problems.map(problem => make("p", { class: "problem" }, refused(problem)))] : []));
}

async function add() {
  const names = {};
  for (const box of document.querySelectorAll("[data-camera]:checked")) {
    const name = document.querySelector(`[data-name="${box.dataset.camera}"]`);
    if (!name.reportValidity()) return;
    names[box.dataset.camera] = name.value;
  }
  if (!Object.keys(names).length) { say(t("choose_one")); return; }
  let done;
  try { done = await ask("/api/search/add", { names }); } catch (error) { say(error.message); return; }
  const secret = done.secret ? told(t("put_secret", done)) : null;
  if (done.added.length && !secret) {
    $("find").close();
    say([t("added", { names: done.added.join(", ") }), done.stored && t("password_stored", done)].filter(Boolean).join(" "), { good: true });
    return;
  }
  found(...[told(done.added.length ? t("added", { names: done.added.join(", ") }) : t("not_added", { why: refused(done.why) })), secret,
    done.yaml ? make("pre", { tabindex: 0, "aria-label": t("for_site_file") }, done.yaml) : null].filter(part => part));
}

$("find-cameras").addEventListener("click", find);
$("find").addEventListener("close", () => { $("find-body").replaceChildren(); placeAlert(); });
