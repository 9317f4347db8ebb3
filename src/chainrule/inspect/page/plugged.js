// The numbers of a step, plugged into its formula.

const FEW_TERMS = 4;
const INFIX = { add: "+", add_n: "+", subtract: "−", multiply: "⊙", divide: "÷" };

// Data of a fully connected layer: a row of the array is a row of the data; in column form each is
// a column.
function data(array, options = {}) {
  return matrix(array, { turned: COLUMN, ...options });
}

// The weight matrix or the bias of a fully connected layer; undefined where it is computed from
// parameters, as weight_norm does.
function parameterOf(layer, name) {
  const [size, count] = layer.sizes;
  const shape = name === "weight" ? [count, size] : [count];
  return layer.parameters.find((parameter) => nameIn(parameter) === name
    && String(parameter.old.shape) === String(shape));
}

function plugForward(node) {
  const layer = dense.find((one) => one.preactivation === node.id);
  const key = `v${node.id}`;
  const W = layer && parameterOf(layer, "weight");
  if (W) {
    const b = parameterOf(layer, "bias");
    const input = data(nodes.get(layer.input).value);
    const factor = matrix(W.old, { turned: !COLUMN });
    const product = COLUMN ? [factor, "·", input] : [input, "·", factor];
    const bias = b ? ["+", data(b.old)] : [];
    return [equation(...product, ...bias, "=", data(node.value, { key })),
      termsOfSum(layer, W, b, key)];
  }
  if (node.role === "loss" && !state.everything && trace.outputs.length) {
    const targets = trace.nodes.filter((one) => one.role === "target");
    const made = trace.outputs.map((id) => nodes.get(id));
    const given = between(",", [...made, ...targets].map((one) => arrayOf(one)));
    return [equation(`${lossName()} (`, ...given, ") =", matrix(node.value, { key }))];
  }
  return [operationOf(node, key)];
}

// An operation with its numbers. The parts of a sum or product stand as its result does.
function operationOf(node, key) {
  const inputs = node.inputs.map((id) => nodes.get(id));
  const turned = isTurned(node);
  const result = matrix(node.value, { key, turned });
  if (node.operation === "matmul") return equation(...productOfMatrices(node, turned), "=", result);
  const sign = INFIX[node.operation];
  if (sign && inputs.length > 1) {
    const parts = inputs.map((input) => matrix(input.value, { turned }));
    return equation(...between(sign, parts), "=", result);
  }
  const parts = inputs.map((input) => {
    const isLike = String(input.value.shape) === String(node.value.shape);
    return matrix(input.value, { turned: isLike ? turned : isTurned(input) });
  });
  return equation(`${node.operation} (`, ...between(",", parts), ")", "=", result);
}

// The factors as they are multiplied: those of a turned product are turned and change places.
function productOfMatrices(node, turned) {
  const factors = node.inputs.map((id, at) => {
    const transposed = Boolean(node.attributes[at ? "transpose_b" : "transpose_a"]);
    return matrix(nodes.get(id).value, { turned: transposed !== turned });
  });
  return between("·", turned ? factors.reverse() : factors);
}

function between(sign, pieces) {
  return pieces.flatMap((piece, at) => (at ? [sign, piece] : [piece]));
}

// z, neuron by neuron: the sum written out.
function termsOfSum(layer, W, b, key) {
  const [size, count] = layer.sizes;
  const w = flat(W.old), a = flat(nodes.get(layer.input).value), bias = b && flat(b.old);
  if (!w || !a || size > FEW_TERMS || count > FEW_TERMS) return null;
  const row = state.row;
  return terms(Array.from({ length: count }, (_, j) => {
    const parts = Array.from({ length: size }, (_, k) =>
      product(w[j * size + k], a[row * size + k]));
    if (bias) parts.push([shown(bias[j])]);
    return [neuron(j), plus(parts), " = ", place(key, layer.preactivation, row, count, j)];
  }));
}

function terms(lines) {
  const heading = trace.rows > 1 ? `Neuron by neuron, row ${state.row}` : "Neuron by neuron";
  return make("div", { class: "terms" }, make("h3", {}, heading),
    make("ul", {}, lines.map((line) => make("li", {}, line))));
}

function place(key, id, row, count, j) {
  const field = key[0] === "v" ? "value" : "gradient";
  return numberOf(flat(nodes.get(id)[field])[row * count + j], `${key}.${row * count + j}`);
}

const product = (left, right) => [`${shown(left)} · ${bracketed(right)}`];
const bracketed = (value) => (value < 0 ? `(${shown(value)})` : shown(value));
const plus = (parts) => parts.map((part) => part.join("")).join(" + ").replaceAll("+ −", "− ");
const neuron = (number) => make("span", { class: "size" }, `${number + 1}: `);

function plugBackward(node) {
  const key = `g${node.id}`;
  if (node.role === "loss") return [equation(`d${lossName()}/d${lossName()} =`,
    matrix(node.gradient, { key }))];
  const own = trace.layers.find((layer) => layer.preactivation === node.id);
  if (own && own.derivative && node.value.shape.length === 2) {
    return [...derivativeOf(own, isTurned(node)),
      equation(arrayOf(nodes.get(own.output), "gradient"), "⊙",
        matrix(own.derivative, { turned: isTurned(node) }), "=", arrayOf(node, "gradient", key)),
    own.sizes && termsOfDelta(own, key)];
  }
  const next = dense.find((layer) => layer.input === node.id);
  if (next && node.contributions.length === 1 && parameterOf(next, "weight")) {
    const W = parameterOf(next, "weight").old, delta = data(next.delta);
    const turned = matrix(W, { turned: COLUMN });
    const pieces = COLUMN ? [turned, "·", delta] : [delta, "·", turned];
    return [equation(...pieces, "=", data(node.gradient, { key }))];
  }
  if (node.contributions.length !== 1) return [];
  const owner = (name) => dense.find((one) => (parameterOf(one, name) || {}).id === node.id);
  const ofWeight = owner("weight"), ofBias = owner("bias");
  if (ofWeight) {
    const delta = matrix(ofWeight.delta, { turned: !TRANSPOSED });
    const input = matrix(nodes.get(ofWeight.input).value, { turned: TRANSPOSED });
    const pieces = TRANSPOSED ? [input, "·", delta] : [delta, "·", input];
    return [equation(...pieces, "=", arrayOf(node, "gradient", key))];
  }
  if (ofBias) {
    const sum = trace.rows > 1 ? [`sum over ${trace.rows} rows of`] : [];
    return [equation(...sum, data(ofBias.delta), "=", arrayOf(node, "gradient", key))];
  }
  return [];
}

// g'(z): its formula, and the formula with its numbers where that is made of z, a and numbers.
function derivativeOf(layer, turned) {
  const math = make("div", { class: "formula" }, formula("derivative", layer.preactivation));
  const given = new Map([layer.preactivation, layer.output].map((id) =>
    [called(nodes.get(id)), nodes.get(id).value]));
  const [, right] = layer.derivative_formula.text.split(" = ");
  const tokens = right.match(/[\p{L}\d_.]+|\^\d+|\S/gu);
  const pieces = tokens.map((token) => (given.has(token) ? matrix(given.get(token), { turned })
    : { "*": "⊙", "-": "−", "^2": "²" }[token] || (/^([\d.]+|[-+*()[\]>])$/.test(token) && token)));
  if (pieces.includes(false)) return [math];
  return [math, equation(...pieces, "=", matrix(layer.derivative, { turned }))];
}

// delta, neuron by neuron: the sum over the neurons of the next layer, times g'(z).
function termsOfDelta(layer, key) {
  const [, count] = layer.sizes;
  const g = flat(layer.derivative), back = flat(layer.output_gradient);
  const next = dense.find((one) => one.input === layer.output);
  if (!g || !back || count > FEW_TERMS) return null;
  const row = state.row;
  const W = next && parameterOf(next, "weight"), w = W && flat(W.old), d = next && flat(next.delta);
  const written = w && d && next.sizes[1] <= FEW_TERMS
    && nodes.get(layer.output).contributions.length === 1;
  return terms(Array.from({ length: count }, (_, j) => {
    const sum = written
      ? `(${plus(Array.from({ length: next.sizes[1] }, (_, i) =>
        product(w[i * count + j], d[row * next.sizes[1] + i])))})`
      : shown(back[row * count + j]);
    return [neuron(j), `${sum} · ${bracketed(g[row * count + j])}`, " = ",
      place(key, layer.preactivation, row, count, j)];
  }));
}

// A consumer's name and its operation. One that is no step of its own goes by the step that it is a
// part of, which the reader sees.
function consumerOf(part) {
  const consumer = nodes.get(part.consumer);
  let seen = consumer;
  while (!state.everything && !isMain(seen) && seen.contributions.length === 1) {
    seen = nodes.get(seen.contributions[0].consumer);
  }
  const means = seen === consumer ? consumer.operation : `its ${consumer.operation}`;
  return [called(seen), means];
}

// What each consumer of a variable contributes to its gradient, and their sum.
function contributions(node, plugged) {
  const parts = node.contributions;
  if (!parts.length) return null;
  if (parts.length === 1 && plugged) {
    const [name, means] = consumerOf(parts[0]);
    return make("p", { class: "note" },
      `${name} (${means}) is the one consumer: its part is the gradient.`);
  }
  const put = (array, key) => matrix(array, { key, turned: isTurned(node) });
  const rows = parts.map((part, at) => {
    const [name, means] = consumerOf(part);
    return make("tr", {},
      make("th", { scope: "row" }, name, make("small", {}, `${means}, input ${part.index}`)),
      make("td", {}, put(part.value, `g${node.id}p${at}`)));
  });
  const sum = parts.length === 1 ? [] : [make("tr", { class: "sum" },
    make("th", { scope: "row" }, "sum"), make("td", {}, put(node.gradient, `g${node.id}`)))];
  const caption = parts.length === 1 ? "The one consumer’s part is the gradient"
    : `${parts.length} consumers: their parts add up to the gradient`;
  return make("table", { class: "parts" }, make("caption", {}, caption),
    make("tbody", {}, rows, sum));
}
