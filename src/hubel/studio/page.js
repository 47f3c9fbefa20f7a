// Send a photo to the server and show the predicted classes. Names of classes and files are untrusted: inserted as text.
"use strict";

const root = new URL(".", document.currentScript.src); // a proxy may publish the server below a path of its own
const $ = (id) => document.getElementById(id);
const state = { token: "", models: [], file: null, turn: 0, chosen: "" };

const sentences = JSON.parse($("sentences").textContent);

// Return the sentence of a key, in the language of the page, with its values.
function t(key, values = {}) {
  return sentences[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function make(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

// Return the response, or throw an error whose message is a sentence.
async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  let response;
  try {
    response = await fetch(new URL(path, root), { ...options, headers });
  } catch {
    throw new Error(t("page.unreachable"));
  }
  if (response.ok) return response;
  if (response.status === 401) {
    $("access").hidden = false;
    throw new Error(state.token && t("page.wrong_token"));
  }
  const body = await response.json().catch(() => ({}));
  throw new Error(body.error ? problem(body.error) : t("page.status", { status: response.status }));
}

// The server explains its errors in English; in another language the page says what kind of error it is.
function problem({ code, message }) {
  const known = document.documentElement.lang !== "en" && sentences[`page.error.${code}`];
  return known || sentence(message);
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}

function post(path, query) {
  const kind = state.file.type.startsWith("image/") ? state.file.type : "application/octet-stream";
  return request(`${path}?${new URLSearchParams(query)}`, {
    method: "POST", body: state.file, headers: { "Content-Type": kind },
  });
}

function showError(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = !error.message;
  $("state").textContent = "";
}

async function loadModels() {
  try {
    state.models = (await (await request("v1/models")).json()).models;
  } catch (error) {
    showError(error);
    return;
  }
  $("access").hidden = true;
  $("problem").hidden = true;
  $("model").replaceChildren(...state.models.map((model) => new Option(model.name, model.name)));
  $("choice").hidden = state.models.length < 2;
  showKind();
}

function showKind() {
  const model = state.models.find((one) => one.name === $("model").value) || state.models[0];
  // What a model does with a photo, and what its list shows, depends on its kind of output.
  const title = t(`page.${model.output}`), list = t(`page.${model.output}.list`);
  document.querySelector("h1").textContent = title;
  document.title = `${title} · hubel`;
  $("classes-title").textContent = list;
  $("surety").hidden = !model.groups;
}

// Return the least probability that the reader asks for, as the API takes it; nothing if the field is empty or hidden.
function wanted() {
  const field = $("sure");
  if ($("surety").hidden || (field.value === "" && !field.validity.badInput)) return {};
  if (!field.validity.valid) throw new Error(t("page.sure_range"));
  return { sure: Number((field.value / 100).toFixed(5)) };
}

async function classify() {
  const turn = ++state.turn, model = $("model").value;
  $("problem").hidden = $("damage").hidden = true;
  $("state").textContent = t("page.working");
  $("result").classList.add("waiting");
  const began = performance.now();
  try {
    const asked = wanted();
    const { images } = await (await post("v1/predict", { model, top: 5, ...asked })).json();
    if (turn !== state.turn) return;
    const explains = state.models.some((one) => one.name === model && one.explains);
    showPhoto();
    $("unknown").hidden = !images[0].unknown;
    hideMap();
    const [found] = images;
    showAnswer(found, asked);
    if (found.top) showClasses(found.top, explains);
    else await showAnnotation(found, state.models.find((one) => one.name === model));
    $("damage").textContent = t("page.damaged", { damage: images[0].damaged });
    $("damage").hidden = !images[0].damaged;
    $("state").textContent = `${model}, ${Math.round(performance.now() - began)} ms`;
    if (explains && found.top) showMap(found.top[0].class);
  } catch (error) {
    if (turn !== state.turn) return;
    $("result").hidden = true;
    showError(error);
  } finally {
    if (turn === state.turn) $("result").classList.remove("waiting");
  }
}

function showPhoto() {
  const photo = $("photo");
  $("marks").replaceChildren();
  $("mask").hidden = true;
  URL.revokeObjectURL(photo.src);
  photo.hidden = false;
  photo.src = URL.createObjectURL(state.file);
  $("name").textContent = state.file.name;
  $("result").hidden = false;
  document.body.classList.add("compact");
}

// A colour for each class, far from those beside it: the golden angle around the wheel of hues.
function colourOf(number) {
  return `hsl(${(205 + 137.508 * number) % 360} 75% 52%)`;
}

function drawn(kind, attributes) {
  const element = document.createElementNS($("marks").namespaceURI, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Draw what is found over the photo: boxes and points as vectors in its pixels, a mask as pixels of its own.
async function showAnnotation({ width, height, objects, shares, mask }, { classes, limbs = [] }) {
  const colour = (name) => colourOf(classes.indexOf(name));
  if (shares) {
    await showMask(mask, classes.length);
    const present = Object.entries(shares).filter(([, share]) => share > 0).sort((one, other) => other[1] - one[1]);
    showClasses(present.map(([name, score]) => ({ class: name, score, colour: colour(name) })), false);
    return;
  }
  const line = Math.max(width, height) / 250;
  $("marks").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("marks").replaceChildren(...objects.flatMap(({ class: name, box: [x, y, right, bottom], points = [] }) => [
    drawn("rect", {
      x, y, width: right - x, height: bottom - y, fill: "none", stroke: colour(name), "stroke-width": line,
    }),
    ...(points.length ? limbs : []).map(([one, other], number) => drawn("line", {
      x1: points[one][0], y1: points[one][1], x2: points[other][0], y2: points[other][1],
      stroke: colourOf(number), "stroke-width": 1.5 * line,
    })),
    // A point that is not sure is hollow.
    ...points.map(([cx, cy, score]) => drawn("circle", {
      cx, cy, r: 1.5 * line, fill: score < 0.5 ? "none" : "white", stroke: "black", "stroke-width": line / 3,
    })),
  ]));
  showClasses(objects.map((one) => ({ ...one, colour: colour(one.class) })), false);
}

async function showMask(mask, classes) {
  const bytes = Uint8Array.from(atob(mask), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = $("mask"), context = canvas.getContext("2d", { willReadFrequently: true });
  const colours = Array.from({ length: classes }, (_, number) => {
    context.fillStyle = colourOf(number);
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  });
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  context.drawImage(bitmap, 0, 0);
  const picture = context.getImageData(0, 0, canvas.width, canvas.height), values = picture.data;
  for (let at = 0; at < values.length; at += 4) {
    const colour = colours[values[at]];
    values.set(colour ? [colour[0], colour[1], colour[2], 150] : [0, 0, 0, 0], at);
  }
  context.putImageData(picture, 0, 0);
  canvas.hidden = false;
}

function showClasses(classes, explains) {
  $("hint").hidden = !explains;
  $("classes").replaceChildren(...classes.map(({ class: name, score, colour }) => {
    const row = make(explains ? "button" : "div", "plain", "");
    const track = make("span", "track", ""), bar = make("i", "", "");
    bar.style.width = `${100 * score}%`;
    if (colour) bar.style.background = colour;
    track.append(bar);
    row.append(make("span", "class", name), make("span", "score", `${(100 * score).toFixed(1)} %`), track);
    if (explains) {
      row.type = "button";
      row.setAttribute("aria-pressed", "false");
      row.dataset.class = name;
      row.addEventListener("click", () => showMap(name));
    }
    const item = document.createElement("li");
    item.append(row);
    return item;
  }));
}

// Show the class, or the group of classes, that the reader may count on.
function showAnswer({ ancestor, ancestor_score }, { sure }) {
  $("answer").hidden = sure === undefined;
  if (sure === undefined) return;
  const share = Number((100 * sure).toFixed(3));
  if (ancestor === null) {
    $("answer").textContent = t("page.sure_none", { share });
    return;
  }
  const score = (100 * ancestor_score).toFixed(1);
  $("answer").replaceChildren(make("strong", "", ancestor), t("page.sure_answer", { share, score }));
}

function hideMap() {
  $("map-figure").hidden = true;
  $("result").classList.remove("mapped");
}

async function showMap(name) {
  const turn = state.turn;
  state.chosen = name;
  for (const row of $("classes").querySelectorAll("button")) {
    row.setAttribute("aria-pressed", String(row.dataset.class === name));
  }
  try {
    const overlay = await (await post("v1/explain", { model: $("model").value, class: name })).blob();
    if (turn !== state.turn || state.chosen !== name) return;
    URL.revokeObjectURL($("map").src);
    $("map").src = URL.createObjectURL(overlay);
    $("map").alt = t("page.evidence", { name });
    $("map-caption").textContent = t("page.evidence_text", { name });
    $("map-figure").hidden = false;
    $("result").classList.add("mapped");
  } catch (error) {
    if (turn === state.turn) {
      hideMap();
      showError(error);
    }
  }
}

function acceptFile(files) {
  const file = [...(files || [])].find((one) => one);
  if (!file) return;
  state.file = file;
  classify();
}

$("file").addEventListener("change", (event) => {
  acceptFile(event.target.files);
  event.target.value = "";
});
$("model").addEventListener("change", () => {
  showKind();
  if (state.file) classify();
});
$("sure").addEventListener("change", () => { if (state.file) classify(); });
$("photo").addEventListener("error", () => { $("photo").hidden = true; });
$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  loadModels();
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") acceptFile(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => acceptFile(event.clipboardData.files));
loadModels();
