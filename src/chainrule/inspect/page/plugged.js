// The numbers of a step, plugged into its formula.

const COLUMN = trace.form === "column";
const FEW_TERMS = 4;
const INFIX = { add: "+", add_n: "+", subtract: "−", multiply: "⊙", divide: "÷", matmul: "·" };

function layerOf(node, field) {
  return dense.find((layer) => layer[field] === node.id);
}

// Data of a fully connected layer: a row of the array is a row of the data; in column form each is
// a column. Its weights are (out, in); in row form they stand on the right, turned.
function data(array, options = {}) {
  return matrix(array, { turned: COLUMN, ...options });
}

function weight(array, options = {}) {
  return matrix(array, { turned: !COLUMN, ...options });
}

function parameterOf(layer, axes) {
  return layer.parameters.find((parameter) => parameter.old.shape.length === axes);
}

function plugForward(node) {
  const layer = layerOf(node, "preactivation");
  const key = `v${node.id}`;
  if (layer && parameterOf(layer, 2)) {
    const W = parameterOf(layer, 2), b = parameterOf(layer, 1);
    const input = data(nodes.get(layer.input).value), turned = weight(W.old);
    const product = COLUMN ? [turned, "·", input] : [input, "·", turned];
    const bias = b ? ["+", data(b.old, { turned: COLUMN })] : [];
    return [equation(...product, ...bias, "=", data(node.value, { key })),
      termsOfSum(layer, W, b, key)];
  }
  if (node.role === "loss" && !state.everything && nodes.has(lastOutput)) {
    const targets = trace.nodes.filter((one) => one.role === "target");
    const given = [nodes.get(lastOutput), ...targets].flatMap((one, at) =>
      [at ? "," : "", matrix(one.value, { turned: COLUMN && isData(one) })]);
    return [equation(`${lossName()} (`, ...given.slice(1), ") =", matrix(node.value, { key }))];
  }
  const inputs = node.inputs.map((id) => nodes.get(id));
  const turned = node.layer !== null && COLUMN && isData(node);
  const put = (input) => matrix(input.value, { turned: turned && isData(input) });
  const result = matrix(node.value, { key, turned });
  const sign = INFIX[node.operation];
  if (sign && inputs.length > 1) {
    const pieces = inputs.flatMap((input, at) => (at ? [sign, put(input)] : [put(input)]));
    return [equation(...pieces, "=", result)];
  }
  const pieces = inputs.flatMap((input, at) => (at ? [",", put(input)] : [put(input)]));
  return [equation(`${node.operation} (`, ...pieces, ")", "=", result)];
}

// Whether an array's first axis counts the rows of the data, as those of activations do.
function isData(node) {
  return ["input", "target", "preactivation", "activation"].includes(node.role)
    && node.value.shape.length === 2;
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
const plus = (parts) => parts.flatMap((part, at) => (at ? [" + ", ...part] : part)).join("");
const neuron = (number) => make("span", { class: "size" }, `${number + 1}: `);

function plugBackward(node) {
  const key = `g${node.id}`;
  if (node.role === "loss") return [equation(`d${lossName()}/d${lossName()} =`,
    matrix(node.gradient, { key }))];
  const own = layerOf(node, "preactivation");
  if (own && own.derivative) {
    return [equation(data(own.output_gradient), "⊙", data(own.derivative), "=",
      data(node.gradient, { key })), termsOfDelta(own, key)];
  }
  const next = dense.find((layer) => layer.input === node.id);
  if (next && node.contributions.length === 1 && parameterOf(next, 2)) {
    const W = parameterOf(next, 2).old, delta = data(next.delta);
    const turned = matrix(W, { turned: COLUMN });
    const pieces = COLUMN ? [turned, "·", delta] : [delta, "·", turned];
    return [equation(...pieces, "=", data(node.gradient, { key }))];
  }
  const layer = dense.find((one) =>
    one.parameters.some((parameter) => parameter.id === node.id));
  if (layer && node.value.shape.length === 2) {
    const delta = matrix(layer.delta, { turned: COLUMN });
    const input = matrix(nodes.get(layer.input).value, { turned: !COLUMN });
    const pieces = COLUMN ? [delta, "·", input] : [input, "·", delta];
    return [equation(...pieces, "=", weight(node.gradient, { key }))];
  }
  if (layer && node.value.shape.length === 1) {
    const sum = trace.rows > 1 ? [`sum over ${trace.rows} rows of`] : [];
    return [equation(...sum, data(layer.delta), "=",
      matrix(node.gradient, { key, turned: COLUMN }))];
  }
  return [];
}

// delta, neuron by neuron: the sum over the neurons of the next layer, times g'(z).
function termsOfDelta(layer, key) {
  const [, count] = layer.sizes;
  const g = flat(layer.derivative), back = flat(layer.output_gradient);
  const next = dense.find((one) => one.input === layer.output);
  if (!g || !back || count > FEW_TERMS) return null;
  const row = state.row;
  const W = next && parameterOf(next, 2), w = W && flat(W.old), d = next && flat(next.delta);
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

// What each consumer of a variable contributes to its gradient, and their sum.
function contributions(node, plugged) {
  const parts = node.contributions;
  if (!parts.length) return null;
  if (parts.length === 1 && plugged) {
    const consumer = nodes.get(parts[0].consumer);
    return make("p", { class: "note" },
      `${called(consumer)} (${consumer.operation}) is the one consumer: its part is the gradient.`);
  }
  const layer = node.layer !== null ? trace.layers[node.layer] : null;
  const turned = layer && layer.sizes !== null ? COLUMN : false;
  const put = (array, key) => matrix(array,
    { key, turned: turned ? isData(node) || array.shape.length === 1 : false });
  const rows = parts.map((part, at) => {
    const consumer = nodes.get(part.consumer);
    return make("tr", {},
      make("th", { scope: "row" }, `${called(consumer)}`,
        make("small", {}, `${consumer.operation}, input ${part.index}`)),
      make("td", {}, put(part.value, `g${node.id}p${at}`)));
  });
  const sum = parts.length === 1 ? [] : [make("tr", { class: "sum" },
    make("th", { scope: "row" }, "sum"), make("td", {}, put(node.gradient, `g${node.id}`)))];
  const caption = parts.length === 1 ? "The one consumer’s part is the gradient"
    : `${parts.length} consumers: their parts add up to the gradient`;
  return make("table", { class: "parts" }, make("caption", {}, caption),
    make("tbody", {}, rows, sum));
}
