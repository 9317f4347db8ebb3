// The pictures: the step under way is marked, numbers appear as they become known.

const SVG = "http://www.w3.org/2000/svg";
const pictures = [...document.querySelectorAll("[data-level]")];

function levelShown() {
  const found = pictures.find((picture) => !picture.hidden);
  return found ? found.dataset.level : null;
}

function setUpPictures() {
  for (const picture of pictures) {
    if (picture.dataset.level === "neurons") {
      for (const line of [...picture.querySelectorAll("line[data-from], path[data-from]")]) {
        makeConnection(line);
      }
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

// A line is thin: a wide one without colour takes the clicks for it.
function makeConnection(line) {
  const { layer, from, to } = line.dataset;
  const one = weights().find((weight) =>
    weight.number + 1 === Number(layer) && weight.from === Number(from) && weight.to === Number(to));
  if (!one) return;
  const target = line.cloneNode(false);
  for (const name of ["style", "class", "id", "stroke", "stroke-width"]) target.removeAttribute(name);
  target.classList.add("target");
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
  line.classList.add("connection");
  line.after(target);
}

// One stop of the tab key for all connections; up and down go from one to the next.
function moveAmong(picture) {
  const targets = [...picture.querySelectorAll(".target")];
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
  }
}

function markNeurons(picture) {
  const { phase, node, parameter } = current();
  const mark = (selector) => {
    for (const found of picture.querySelectorAll(selector)) found.classList.add("now");
  };
  const number = parameter ? current().number
    : node && trace.layers.findIndex((layer) => [layer.preactivation, layer.output].includes(node.id)
      || layer.parameters.some((one) => one.id === node.id));
  if (node && number >= 0) {
    const lines = `.connection[data-layer="${number + 1}"]`;
    const circles = `circle[data-layer="${number + 1}"]`;
    if (node.role === "parameter") mark(node.value.shape.length > 1 ? lines : circles);
    else mark(circles);
    if (phase === "forward" && node.role === "preactivation") mark(lines);
  } else if (node && (node.role === "input" || node.role === "loss")) {
    mark(`circle[data-layer="${node.role === "loss" ? trace.layers.length : 0}"]`);
  }
  if (state.connection) {
    for (const found of picture.querySelectorAll(
      `.connection[data-layer="${state.connection.number + 1}"]`
      + `[data-from="${state.connection.from}"][data-to="${state.connection.to}"]`)) {
      found.classList.add("chosen");
    }
  }
}

// a in each neuron as soon as it is known (before, z), and delta below it.
function writeNumbers(picture) {
  for (const old of picture.querySelectorAll(".written")) old.remove();
  for (const circle of picture.querySelectorAll("circle[data-layer]")) {
    const layer = Number(circle.dataset.layer), neuron = Number(circle.dataset.neuron);
    const [x, y, r] = ["cx", "cy", "r"].map((name) => Number(circle.getAttribute(name)));
    for (const [text, kind, dy] of linesOf(layer, neuron)) {
      const written = document.createElementNS(SVG, "text");
      written.setAttribute("class", `written ${kind}`);
      written.setAttribute("x", x);
      written.setAttribute("y", y + dy * r);
      written.textContent = text;
      circle.parentNode.append(written);
    }
  }
}

function linesOf(number, neuron) {
  const short = (array, key, at) => {
    const found = flat(array);
    return !found ? "…" : isBlank(`${key}.${at}`) ? "?" : shown(found[at], 3);
  };
  if (number === 0) {
    const input = nodes.get(trace.layers[0].input);
    return [[short(input.value, "x", state.row * trace.layers[0].sizes[0] + neuron), "value", 0]];
  }
  const layer = trace.layers[number - 1];
  const at = state.row * layer.sizes[1] + neuron;
  const lines = [];
  const [z, a] = [layer.preactivation, layer.output];
  if (isKnown(`v${a}`)) lines.push([short(nodes.get(a).value, `v${a}`, at), "value"]);
  else if (isKnown(`v${z}`)) lines.push([`z ${short(nodes.get(z).value, `v${z}`, at)}`, "value"]);
  if (isKnown(`g${z}`)) lines.push([`δ ${short(layer.delta, `g${z}`, at)}`, "delta"]);
  return lines.map(([text, kind], line) => [text, kind, lines.length === 1 ? 0 : line ? 0.42 : -0.3]);
}

function markBoxes(picture) {
  const { node } = current();
  if (!node) return;
  const layer = node.layer === null ? [] : [...picture.querySelectorAll(`[data-layer="${node.layer + 1}"]`)];
  const found = [...picture.querySelectorAll(`[data-node="${node.id}"]`)];
  for (const box of found.length ? found : layer) box.classList.add("now");
}
