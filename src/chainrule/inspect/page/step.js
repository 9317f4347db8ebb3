// The card of the step under way.

function card(frame) {
  const kind = { start: startCard, forward: forwardCard, backward: backwardCard,
    update: updateCard, end: endCard }[frame.phase];
  return kind(frame);
}

function heading(frame, title, detail) {
  return make("header", {},
    make("p", { class: "phase" }, PHASES[frame.phase]),
    make("h2", { id: "step-title", tabindex: "-1" }, title),
    detail ? make("p", { class: "detail" }, detail) : null);
}

function mathOf(kind, node, record) {
  const found = formula(kind, node.id);
  if (found) return make("div", { class: "formula" }, found);
  return record ? make("p", { class: "formula text" }, record.text) : null;
}

function startCard(frame) {
  const given = trace.nodes.filter((node) => node.role === "input" || node.role === "target");
  return [heading(frame, "What is given", "The data and the weights before the step"),
    make("div", { class: "givens" }, given.map((node) => labelled(node,
      arrayOf(node, "value", null, called(node)))),
    [...held.values()].map(({ parameter }) => make("div",
      { class: "given" }, make("p", {}, parameter.letter, make("small", {}, parameter.path)),
      partOf(parameter, "old"))))];
}

function labelled(node, array) {
  return make("div", { class: "given" },
    make("p", {}, called(node), make("small", {}, node.role)), array);
}

// A parameter before the step or after it, or its gradient.
function partOf(parameter, field, key = null) {
  const turned = isTurned(nodes.get(parameter.id));
  return matrix(parameter[field], { turned, key, label: parameter.letter });
}

// What computes a node, and where: beside the picture of neurons by the number that a layer has
// there, else by the path of its module.
function where(node) {
  const layer = held.has(node.id) ? held.get(node.id).layer : trace.layers[node.layer];
  const number = levelShown() === "neurons" && dense.indexOf(layer) + 1;
  const path = number ? `, layer ${number}` : node.path ? `, module ${node.path}` : "";
  const attributes = Object.entries(node.attributes)
    .filter(([name, value]) => state.everything || !isUsual(name, value, node.attributes))
    .map(([name, value]) => `, ${name} ${Array.isArray(value) && !Array.isArray(value[0])
      ? value.join(name === "axes" ? ", " : " × ") : JSON.stringify(value)}`).join("");
  return `${node.operation || node.role}${attributes}${path}`;
}

// Whether an attribute is as a reader expects it: no padding, say, and windows side by side.
function isUsual(name, value, { kernel }) {
  const usual = { padding: 0, dilation: 1, groups: 1, stride: 1 }[name];
  return value === false || value === null || kernel !== undefined && name === "axis"
    || name === "stride" && String(value) === String(kernel)
    || usual !== undefined && [value].flat(Infinity).every((one) => one === usual);
}

function forwardCard({ phase, node }) {
  return [heading({ phase }, called(node), where(node)), mathOf("formula", node, node.formula),
    make("div", { class: "plugged" }, plugForward(node)),
    state.everything ? inputsOf(node) : null];
}

function inputsOf(node) {
  const names = node.inputs.map((id) => called(nodes.get(id))).join(", ");
  return make("p", { class: "note" }, `The operation ${node.operation} takes ${names}.`);
}

function backwardCard({ phase, node }) {
  const plugged = plugBackward(node);
  return [heading({ phase }, gradientName(node), `the gradient of ${called(node)}: ${where(node)}`),
    mathOf("gradient", node, node.gradient_formula),
    plugged.length ? make("div", { class: "plugged" }, plugged) : null,
    contributions(node, plugged.length > 0)];
}

function updateCard({ phase, parameter, node }) {
  const key = `n${parameter.id}`;
  const rate = plainRate(parameter);
  const put = (field, own) => partOf(parameter, field, own);
  const numbers = rate !== null
    ? equation(put("old"), "−", shown(rate), "·", put("gradient"), "=", put("new", key))
    : make("div", { class: "givens" }, [["before", "old", null], ["gradient", "gradient", null],
      ["after", "new", key]].map(([label, field, own]) =>
      make("div", { class: "given" }, make("p", {}, label), put(field, own))));
  const rule = rate !== null
    ? `${parameter.letter} ← ${parameter.letter} − ${shown(rate)} · ${gradientName(node)}`
    : parameter.update.formulas.map((one) => spelled(one.text).replaceAll("<-", "←")).join("; ");
  return [heading({ phase }, `new ${parameter.letter}`, parameter.path),
    make("p", { class: "formula text" }, rule), make("div", { class: "plugged" }, numbers)];
}

// The learning rate where the update is the textbook's, W - lr dL/dW; else null.
function plainRate(parameter) {
  const found = /^SGD\(.*?\blr=([\d.e+-]+)/.exec(trace.optimizer || "");
  const [before, gradient, after] = ["old", "gradient", "new"].map((name) => flat(parameter[name]));
  if (!found || !before || !gradient || !after) return null;
  const rate = Number(found[1]);
  const same = before.every((value, at) =>
    Math.abs(value - rate * gradient[at] - after[at]) <= 1e-6 * (Math.abs(value) + 1e-6));
  return same ? rate : null;
}

function endCard(frame) {
  const after = trace.loss_after;
  const rows = [["before the step", numberOf(trace.loss)]];
  if (after !== null) rows.push(["with the new weights", numberOf(after, "after")]);
  const text = after === null ? "Without an optimizer the weights stay as they are."
    : after < trace.loss ? "The loss became smaller." : "The loss did not become smaller.";
  return [heading(frame, lossName(), "The loss before the step and after it"),
    make("table", { class: "parts" }, make("tbody", {},
      rows.map(([label, value]) =>
        make("tr", {}, make("th", { scope: "row" }, label), make("td", {}, value))))),
    make("p", { class: "note" }, isBlank("after") ? "Did the loss become smaller?" : text)];
}
