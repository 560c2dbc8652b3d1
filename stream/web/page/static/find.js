// The wizard that finds cameras: search, choose, name, add to the site file.

import { placeAlert, say } from "/page/alert.js";
import { $, ask, make, path } from "/page/page.js";

const LOOK_EVERY = 1000;
let looking;

async function find() {
  const hosts = make("input", { name: "hosts", placeholder: "all that answer", autocapitalize: "none", spellcheck: "false" });
  const user = make("input", { name: "user", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const password = make("input", { name: "password", type: "password", autocomplete: "new-password" });
  const form = make("form", { onsubmit: event => {
    event.preventDefault();
    search({ hosts: hosts.value.split(/[\s,]+/).filter(Boolean), user: user.value.trim(), password: password.value });
  } }, make("label", {}, "Addresses of cameras, if they do not answer by themselves", hosts),
    make("label", {}, "User of the cameras", user), make("label", {}, "Password", password), make("button", { id: "find-search" }, "Search"));
  $("find-body").replaceChildren(
    make("div", { class: "head" }, make("h2", { id: "find-title" }, "Find cameras"), make("button", { type: "button", onclick: () => $("find").close() }, "Close")),
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
    found(told("Searching, and taking a picture of each camera: this takes up to a few minutes ..."));
    looking = setTimeout(look, LOOK_EVERY);
    return;
  }
  show(state);
}

function show({ cameras, problems }) {
  const fresh = cameras.filter(camera => camera.known === null);
  const entries = cameras.map(camera => {
    const picture = make("img", { src: path("api", "search", camera.number, "picture.jpg") + `?${Date.now()}`, alt: `Picture of ${camera.shown}` });
    const about = make("span", { class: "faint" }, `${camera.shown}, ${camera.maker}, ${camera.host}, ${camera.sizes}`);
    if (camera.known !== null) return make("li", {}, picture, make("strong", {}, camera.known), about, make("span", {}, "Already in the site file"));
    return make("li", {}, picture, make("label", {}, make("input", { type: "checkbox", checked: true, "data-camera": camera.number }), ` Add`),
      make("label", {}, "Name ", make("input", { value: camera.name, maxlength: 64, pattern: "[a-zA-Z0-9_\\-]{1,64}", title: "1 to 64 of a-z A-Z 0-9 _ -", "data-name": camera.number })), about);
  });
  found(...(cameras.length ? [] : [told("No camera was found.")]), make("ol", {}, ...entries),
    ...(fresh.length ? [make("button", { type: "button", id: "find-add", onclick: add }, "Add to the site file")] : []),
    ...(problems.length ? [make("h3", {}, "Not usable"), ...problems.map(problem => make("p", { class: "problem" }, problem))] : []));
}

async function add() {
  const names = {};
  for (const box of document.querySelectorAll("[data-camera]:checked")) {
    const name = document.querySelector(`[data-name="${box.dataset.camera}"]`);
    if (!name.reportValidity()) return;
    names[box.dataset.camera] = name.value;
  }
  if (!Object.keys(names).length) { say("Choose at least one camera."); return; }
  let done;
  try { done = await ask("/api/search/add", { names }); } catch (error) { say(error.message); return; }
  const secret = done.secret ? told(`Before the next start, put the password into the environment variable or secret file ${done.secret}. Until then this program remembers it.`) : null;
  if (done.added.length && !secret) { $("find").close(); say(`Added: ${done.added.join(", ")}.`, { good: true }); return; }
  found(...[told(done.added.length ? `Added: ${done.added.join(", ")}.` : `Not added: ${done.why}.`), secret,
    done.yaml ? make("pre", { tabindex: 0, "aria-label": "For the site file" }, done.yaml) : null].filter(part => part));
}

$("find-cameras").addEventListener("click", find);
$("find").addEventListener("close", () => { $("find-body").replaceChildren(); placeAlert(); });
