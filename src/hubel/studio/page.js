// Send a photo to the server and show the predicted classes. Names of classes and files are untrusted: inserted as text.
"use strict";

const root = new URL(".", document.currentScript.src); // a proxy may publish the server below a path of its own
const $ = (id) => document.getElementById(id);
const state = { token: "", models: [], file: null, turn: 0, chosen: "" };

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
    throw new Error("The server cannot be reached.");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    $("access").hidden = false;
    throw new Error(state.token && "The token is wrong.");
  }
  const body = await response.json().catch(() => ({}));
  throw new Error(body.error ? sentence(body.error.message) : `The server returned status ${response.status}.`);
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
}

async function classify() {
  const turn = ++state.turn, model = $("model").value;
  $("problem").hidden = $("damage").hidden = true;
  $("state").textContent = "Classifying …";
  $("result").classList.add("waiting");
  const began = performance.now();
  try {
    const { images } = await (await post("v1/predict", { model, top: 5 })).json();
    if (turn !== state.turn) return;
    const explains = state.models.some((one) => one.name === model && one.explains);
    showPhoto();
    $("unknown").hidden = !images[0].unknown;
    showClasses(images[0].top, explains);
    $("damage").textContent = `Parts of this photo are lost, so the prediction may be wrong: ${images[0].damaged}.`;
    $("damage").hidden = !images[0].damaged;
    $("state").textContent = `${model}, ${Math.round(performance.now() - began)} ms`;
    if (explains) showMap(images[0].top[0].class);
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
  URL.revokeObjectURL(photo.src);
  photo.hidden = false;
  photo.src = URL.createObjectURL(state.file);
  $("name").textContent = state.file.name;
  $("result").hidden = false;
  document.body.classList.add("compact");
}

function showClasses(classes, explains) {
  hideMap();
  $("hint").hidden = !explains;
  $("classes").replaceChildren(...classes.map(({ class: name, score }) => {
    const row = make(explains ? "button" : "div", "plain", "");
    const track = make("span", "track", ""), bar = make("i", "", "");
    bar.style.width = `${100 * score}%`;
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
    $("map").alt = `Evidence for ${name}`;
    $("map-caption").textContent = `Evidence for “${name}” in the network’s input: the brighter, the stronger.`;
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
$("model").addEventListener("change", () => state.file && classify());
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
