// The dialog in which masks, zones and the region are drawn on a camera's whole picture: mouse, touch and keyboard.

import { say, placeAlert } from "/page/alert.js";
import { $, ask, make, path } from "/page/page.js";
import { t } from "/page/words.js";

const DRAGGED = 0.02, STEP = 0.01, TOOLS = { masks: t("masks"), only_here: t("only_here"), region: t("region") };
const round = number => Math.round(Math.min(1, Math.max(0, number)) * 1000) / 1000;
const box = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
const corners = ([x, y, right, bottom]) => [[x, y], [right, y], [right, bottom], [x, bottom]];
const area = r => [r[0], r[1], r[0] + r[2], r[1] + r[3]];

let camera, before, shapes, open, past, tool, cross, parts;  // of the dialog that is open

export async function draw(name) {
  let found;
  try { found = await ask(path("api", "cameras", name, "view")); } catch (error) { say(error.message); return; }
  camera = name; before = found.view; shapes = structuredClone(before); open = []; past = []; tool = "masks"; cross = null;
  const image = make("img", { alt: t("whole_picture", { name }), src: path("api", "cameras", name, "frame.jpg") + `?${Date.now()}`,
    onerror: () => say(t("no_picture")) });
  const button = (text, onclick, more = {}) => make("button", { type: "button", onclick, ...more }, text);
  parts = {
    svg: document.createElementNS("http://www.w3.org/2000/svg", "svg"), handles: make("div"),
    yaml: make("pre", { tabindex: 0, "aria-label": t("for_site_file") }), said: make("p", { class: "problem", role: "status" }),
    state: make("span", { class: "faint" }), before: t(found.drawn ? "drawn_here" : "as_in_file"),
  };
  parts.svg.setAttribute("viewBox", "0 0 1 1");
  parts.svg.setAttribute("preserveAspectRatio", "none");
  parts.stage = make("div", { class: "stage", tabindex: 0, role: "application", "aria-label": t("stage"),
    onpointerdown: press, onkeydown: keyOnStage }, image, parts.svg, parts.handles);
  parts.tools = Object.entries(TOOLS).map(([key, text]) => button(text, () => { tool = key; open = []; show(); }, { "data-tool": key }));
  $("draw-body").replaceChildren(
    make("div", { class: "head" }, make("h2", { id: "draw-title" }, t("whole_picture", { name })), button(t("cancel"), () => $("draw").close())),
    make("p", { class: "faint" }, t("draw_help")),
    make("div", { class: "bar", role: "group", "aria-label": t("tool") }, ...parts.tools,
      button(t("close_shape"), closeShape), button(t("undo"), undo), button(t("delete_all"), () => change(() => { shapes = { region: null, masks: [], only_here: [] }; open = []; }))),
    parts.stage, parts.said,
    make("div", { class: "bar" }, button(t("save"), () => save(shapes), { id: "draw-save" }),
      found.drawn ? button(t("back_to_file"), () => save(null), { id: "draw-reset" }) : null,
      parts.state),
    make("details", {}, make("summary", {}, t("for_site_file")), parts.yaml));
  show();
  $("draw").showModal();
  placeAlert();
}

function change(step) {
  past.push(JSON.stringify([shapes, open]));
  step();
  show();
}

function undo() {
  if (past.length) [shapes, open] = JSON.parse(past.pop());
  show();
}

function closeShape() {
  if (open.length < (tool === "region" ? 2 : 3)) { open = []; show(); return; }
  change(() => {
    if (tool === "region") shapes.region = regionOf(box(open[0], open[1]));
    else shapes[tool].push(open);
    open = [];
  });
}

const regionOf = ([x, y, right, bottom]) => [x, y, round(right - x), round(bottom - y)];

function put(point) {
  change(() => open.push(point));
  if (tool === "region" && open.length === 2) closeShape();
}

const at = event => {
  const frame = parts.stage.getBoundingClientRect();
  return [round((event.clientX - frame.left) / frame.width), round((event.clientY - frame.top) / frame.height)];
};
const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) > DRAGGED;

// A press on the picture is a corner; if it is dragged, a rectangle. A press on a corner moves it.
function press(event) {
  if (event.button) return;
  event.preventDefault();
  parts.stage.focus({ preventScroll: true });
  const start = at(event), held = event.target.closest(".corner"), kept = JSON.stringify([shapes, open]);
  const move = moved => {
    if (held?.moves && far(start, at(moved))) { held.moves(at(moved)); show(); }
    else if (!held && !open.length && far(start, at(moved))) show(corners(box(start, at(moved))));
  };
  const done = released => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", done);
    removeEventListener("pointercancel", done);
    const end = at(released);
    if (released.type === "pointercancel") [shapes, open] = JSON.parse(kept);
    else if (held && far(start, end)) past.push(kept);
    else if (held) held.pressed?.();
    else if (!open.length && far(start, end)) change(() => {
      const dragged = box(start, end);
      if (tool === "region") shapes.region = regionOf(dragged); else shapes[tool].push(corners(dragged));
    });
    else put(end);
    show();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", done);
  addEventListener("pointercancel", done);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const moved = ([x, y], key) => ARROWS[key.key].map((way, axis) => round([x, y][axis] + way * STEP * (key.shiftKey ? 10 : 1)));

function keyOnStage(key) {
  if (key.target !== parts.stage) return;
  if (key.key in ARROWS) { cross = moved(cross ?? [0.5, 0.5], key); show(); }
  else if (key.key === "Enter" && cross) put(cross);
  else if (key.key.toLowerCase() === "c") closeShape();
  else return;
  key.preventDefault();
}

$("draw").addEventListener("keydown", key => {
  if (key.key.toLowerCase() !== "z" || !(key.ctrlKey || key.metaKey)) return;
  key.preventDefault();
  undo();
});
$("draw").addEventListener("close", () => { $("draw-body").replaceChildren(); placeAlert(); });

function show(dragged = null) {
  const drawn = [...shapes.only_here.map(shape => ["only_here", shape]), ...shapes.masks.map(shape => ["masks", shape])];
  if (shapes.region) drawn.push(["region", corners(area(shapes.region))]);
  if (dragged) drawn.push([tool, dragged]);
  const line = (kind, points, tag = "polygon") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    element.setAttribute("class", kind);
    element.setAttribute("points", points.map(point => point.join()).join(" "));
    return element;
  };
  parts.svg.replaceChildren(...drawn.map(([kind, shape]) => line(kind, shape)), ...(open.length ? [line(tool, open, "polyline")] : []),
    ...(cross && document.activeElement === parts.stage ? [line("cross", [[cross[0], 0], [cross[0], 1]], "polyline"), line("cross", [[0, cross[1]], [1, cross[1]]], "polyline")] : []));
  showHandles();
  for (const each of parts.tools) {
    each.classList.toggle("chosen", each.dataset.tool === tool);
    each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
  }
  parts.yaml.textContent = yaml();
  parts.state.textContent = past.length ? t("not_saved") : parts.before;
}

function keyOnCorner(key) {
  const corner = key.target;
  if (key.key in ARROWS) change(() => corner.moves(moved(corner.point, key)));
  else if (key.key === "Delete" || key.key === "Backspace") change(corner.removes);
  else return;
  key.preventDefault();
}

// What can be done with each corner that is shown.
function cornersShown() {
  const found = [];
  for (const kind of ["only_here", "masks"]) shapes[kind].forEach((shape, number) => shape.forEach((point, index) => found.push({
    point, name: t("corner_of", { shape: `${TOOLS[kind]} ${number + 1}`, n: index + 1 }), moves: to => { shape[index] = to; },
    removes: () => { if (shape.length > 3) shape.splice(index, 1); else shapes[kind].splice(number, 1); } })));
  if (shapes.region) {
    const [x, y, right, bottom] = area(shapes.region), removes = () => { shapes.region = null; };
    found.push({ point: [x, y], name: t("region_upper"), removes, moves: to => { shapes.region = regionOf(box(to, [right, bottom])); } },
      { point: [right, bottom], name: t("region_lower"), removes, moves: to => { shapes.region = regionOf(box([x, y], to)); } });
  }
  open.forEach((point, index) => found.push({ point, name: t("open_corner", { n: index + 1 }), moves: to => { open[index] = to; },
    removes: () => open.splice(index, 1), pressed: index ? null : closeShape }));
  return found;
}

function showHandles() {
  const found = cornersShown(), handles = parts.handles;
  while (handles.children.length > found.length) handles.lastChild.remove();
  while (handles.children.length < found.length) handles.append(make("button", { type: "button", class: "corner", onkeydown: keyOnCorner }));
  found.forEach((corner, index) => {  // elements are kept, so that the corner that is dragged or focused stays
    const element = Object.assign(handles.children[index], { pressed: null }, corner), [x, y] = corner.point;
    element.style.left = `${x * 100}%`;
    element.style.top = `${y * 100}%`;
    element.setAttribute("aria-label", `${corner.name}, ${Math.round(x * 100)} %, ${Math.round(y * 100)} %`);
  });
}

function yaml() {
  const lines = ["cameras:", `  ${camera}:`];
  if (shapes.region) lines.push(`    region: {${["x", "y", "width", "height"].map((key, index) => `${key}: ${shapes.region[index]}`).join(", ")}}`);
  for (const kind of ["masks", "only_here"]) if (shapes[kind].length) lines.push(`    ${kind}:`, ...shapes[kind].map(shape => `      - ${JSON.stringify(shape)}`));
  return lines.length > 2 ? lines.join("\n") : "# nothing is drawn: the model sees the whole picture";
}

async function save(view) {
  if (open.length) { parts.said.textContent = t("close_first"); return; }
  try {
    await ask(path("api", "cameras", camera, "view"), { view, before });
  } catch (error) { parts.said.textContent = error.message; return; }
  $("draw").close();
  say(t(view ? "drawing_in_force" : "file_in_force", { camera }), { good: true });
}
