// The pictures: the step under way is marked, numbers appear as they become known.

const SVG = "http://www.w3.org/2000/svg";
const connections = new Map(weights().map((one) => [nameOf(one), one]));
const pictures = [...document.querySelectorAll("[data-level]")];

function levelShown() {
  const found = pictures.find((picture) => !picture.hidden);
  return found ? found.dataset.level : null;
}

function setUpPictures() {
  for (const picture of pictures) {
    if (picture.dataset.level === "neurons") {
      for (const line of [...picture.querySelectorAll("g[data-from]")]) makeConnection(line);
      moveAmong(picture);
    }
  }
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => show(button.dataset.show));
  }
}

function show(level) {
  for (const picture of pictures) picture.hidden = picture.dataset.level !== level;
  for (const button of document.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-pressed", String(button.dataset.show === level));
  }
  render();
}

// A line becomes a button. It is thin: a wide one without colour takes the clicks for it.
function makeConnection(target) {
  const { layer, from, to } = target.dataset;
  const one = connections.get(`${layer}-${from}-${to}`);
  if (!one) return;
  const wide = target.querySelector("path").cloneNode(false);
  wide.removeAttribute("style");
  wide.setAttribute("class", "wide");
  target.append(wide);
  target.querySelector("title").textContent = ends(one);
  target.classList.add("connection");
  target.setAttribute("role", "button");
  target.setAttribute("tabindex", "-1");
  target.setAttribute("data-connection", nameOf(one));
  target.setAttribute("aria-label", `connection ${ends(one)}`);
  target.addEventListener("click", () => choose(one));
  target.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(one);
    }
  });
}

// One stop of the tab key for all connections; up and down go from one to the next.
function moveAmong(picture) {
  const targets = [...picture.querySelectorAll(".connection")];
  if (targets.length) targets[0].setAttribute("tabindex", "0");
  picture.addEventListener("keydown", (event) => {
    const at = targets.indexOf(event.target);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    const next = targets[(at + step + targets.length) % targets.length];
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function drawPictures() {
  for (const picture of pictures) {
    if (picture.hidden) continue;
    for (const marked of picture.querySelectorAll(".now, .chosen")) {
      marked.classList.remove("now", "chosen");
    }
    if (picture.dataset.level === "neurons") {
      markNeurons(picture);
      writeNumbers(picture);
    } else {
      markBoxes(picture);
    }
    picture.dataset.phase = current().phase;
    bringIntoSight(picture);
  }
}

function markNeurons(picture) {
  const { phase, node } = current();
  const mark = (selector) => {
    for (const found of picture.querySelectorAll(selector)) found.classList.add("now");
  };
  const number = node ? dense.findIndex((layer) =>
    [layer.preactivation, layer.output].includes(node.id)
      || layer.parameters.some((one) => one.id === node.id)) : -1;
  if (number >= 0) {
    const lines = `g[data-from][data-layer="${number + 1}"]`;
    const circles = `circle[data-layer="${number + 1}"]`;
    if (node.role === "parameter") mark(node.value.shape.length > 1 ? lines : circles);
    else mark(circles);
    if (phase === "forward" && node.role === "preactivation") mark(lines);
  } else if (node && (node.role === "input" || node.role === "loss")) {
    const column = node.role === "loss" ? dense.length + 1 : 0;
    mark(`:is(circle, rect)[data-layer="${column}"]`);
  }
  if (state.connection) {
    for (const found of picture.querySelectorAll(
      `[data-connection="${nameOf(state.connection)}"]`)) {
      found.classList.add("chosen");
    }
  }
}

// a in each neuron as soon as it is known (before, z) below its letter, and delta below the circle.
function writeNumbers(picture) {
  for (const old of picture.querySelectorAll(".written")) old.remove();
  for (const shape of picture.querySelectorAll(":is(circle, rect)[data-neuron]")) {
    const group = shape.closest("g[data-neuron]");
    const { x, y, half } = placeOf(shape);
    const lines = linesOf(Number(shape.dataset.layer), Number(shape.dataset.neuron));
    const letter = group.querySelector("text");
    if (letter) letter.setAttribute("dy", lines.value && shape.tagName === "circle" ? -9 : 0);
    if (lines.value) {
      const kind = lines.value.length > 7 ? "value long" : "value";
      write(group, kind, lines.value, x, shape.tagName === "circle" ? y + 7 : y + 2 * half);
    }
    if (lines.delta) write(group, "delta", lines.delta, x, y + half + 9);
    // The picture knows all numbers; its descriptions tell no more than the step under way.
    const said = [lines.name, lines.value, lines.delta].filter(Boolean).join(", ");
    group.setAttribute("aria-label", said);
    group.querySelector("title").textContent = said;
  }
}

// The middle of a circle or box, and half its height: as written, so that nothing is laid out anew
// between one number and the next.
function placeOf(shape) {
  const at = (name) => Number(shape.getAttribute(name));
  return shape.tagName === "circle" ? { x: at("cx"), y: at("cy"), half: at("r") }
    : { x: at("x") + at("width") / 2, y: at("y") + at("height") / 2, half: at("height") / 2 };
}

function write(group, kind, text, x, y) {
  const written = document.createElementNS(SVG, "text");
  written.setAttribute("class", `written ${kind}`);
  written.setAttribute("x", x);
  written.setAttribute("y", y);
  written.textContent = text;
  group.append(written);
}

function linesOf(number, neuron) {
  const short = (array, key, at) => {
    const found = flat(array);
    return !found ? "…" : isBlank(`${key}.${at}`) ? "?" : shown(found[at], 3);
  };
  if (number === 0) {
    const [size] = dense[0].sizes;
    const input = nodes.get(dense[0].input);
    return { name: `input ${neuron + 1}`,
      value: isKnown(`v${input.id}`) ? short(input.value, "x", state.row * size + neuron) : null };
  }
  if (number > dense.length) {
    const loss = trace.nodes.find((node) => node.role === "loss");
    const value = isKnown(`v${loss.id}`) ? short(loss.value, `v${loss.id}`, 0) : null;
    return { name: "loss", value };
  }
  const layer = dense[number - 1];
  const at = state.row * layer.sizes[1] + neuron;
  const [z, a] = [layer.preactivation, layer.output];
  const found = { name: `layer ${number}, neuron ${neuron + 1}`, value: null, delta: null };
  if (isKnown(`v${a}`)) found.value = short(nodes.get(a).value, `v${a}`, at);
  else if (isKnown(`v${z}`)) {
    found.value = `${letterOf(nodes.get(z))} ${short(nodes.get(z).value, `v${z}`, at)}`;
  }
  if (isKnown(`g${z}`)) found.delta = `${deltaLetter()} ${short(layer.delta, `g${z}`, at)}`;
  return found;
}

// A letter without the number of its layer.
function letterOf(node) {
  return called(node).replace(/\d+$/, "");
}

function deltaLetter() {
  return gradientName(nodes.get(dense[0].preactivation)).replace(/\d+$/, "");
}

function markBoxes(picture) {
  const { node } = current();
  if (!node) return;
  const box = picture.querySelector(`[data-node="${node.id}"], [data-holds~="${node.id}"]`);
  if (box) box.classList.add("now");
}

// Scrolls a picture, and not the page, to what is marked.
function bringIntoSight(picture) {
  const marked = picture.querySelector(":is(circle, rect, .cr-node).now");
  if (!marked || picture.scrollWidth <= picture.clientWidth
    && picture.scrollHeight <= picture.clientHeight) return;
  const place = marked.getBoundingClientRect(), frame = picture.getBoundingClientRect();
  if (place.top < frame.top || place.bottom > frame.bottom) {
    picture.scrollTop += place.top - frame.top - (frame.height - place.height) / 2;
  }
  if (place.left < frame.left || place.right > frame.right) {
    picture.scrollLeft += place.left - frame.left - (frame.width - place.width) / 2;
  }
}
