// A connection: one weight of a fully connected layer, and where its gradient comes from.

// All weights of layers whose arrays are whole, from the first layer to the last.
function weights() {
  return dense.flatMap((layer, number) => {
    const W = parameterOf(layer, "weight");
    if (!W || !flat(W.old) || !flat(W.gradient)) return [];
    const [size, count] = layer.sizes;
    return Array.from({ length: count * size }, (_, place) =>
      ({ layer, number, W, place, to: Math.floor(place / size), from: place % size }));
  });
}

function nameOf({ number, from, to }) {
  return `${number + 1}-${from}-${to}`;
}

function ends({ number, from, to }) {
  const start = number ? `layer ${number}, neuron ${from + 1}` : `input ${from + 1}`;
  return `${start} → layer ${number + 1}, neuron ${to + 1}`;
}

function choose(one) {
  state.connection = one;
  render();
  byId("connection").scrollIntoView({ block: "nearest" });
}

function connectionPanel() {
  const one = state.connection;
  if (one === null) {
    return [make("p", { class: "note" },
      "Choose a line of the picture, or a row of its table, to see where its gradient comes from.")];
  }
  const { layer, W, place } = one;
  const loss = lossName(), key = `g${W.id}`;
  const uses = nodes.get(W.id).contributions;
  const parts = [make("h3", {}, ends(one)),
    make("p", {}, "w = ", numberOf(flat(W.old)[place]))];
  if (!isKnown(uses.length === 1 ? `g${layer.preactivation}` : key)) {
    parts.push(make("p", { class: "note" }, uses.length === 1
      ? `d${loss}/dw = δ · a. δ is not known yet: go on to the way back.`
      : `${W.letter} is used ${uses.length} times. Their parts are not known yet: go on.`));
    return parts;
  }
  parts.push(make("p", { class: "product" }, `d${loss}/dw = `,
    ...(uses.length === 1 ? productOf(one) : sumOf(one, uses)),
    numberOf(flat(W.gradient)[place], `${key}.${place}`)));
  if (W.new !== null && isKnown(`n${W.id}`)) {
    parts.push(make("p", {}, "new w = ", numberOf(flat(W.new)[place], `n${W.id}.${place}`)));
  }
  if (layer.derivative === null) {
    parts.push(make("p", { class: "note" }, "δ is taken before the activation."));
  }
  return parts;
}

// The parts of a weight that is used several times.
function sumOf({ W, place }, uses) {
  const parts = uses.map((part, at) =>
    factor(flat(part.value)[place], at === 0, `g${W.id}p${at}.${place}`));
  return [`the sum of ${uses.length} uses = `, ...between(" + ", parts).flat(), " = "];
}

// A number after a sign.
function factor(value, first, key = null) {
  return value < 0 && !first ? ["(", numberOf(value, key), ")"] : [numberOf(value, key)];
}

// delta times a, summed over the rows of the data.
function productOf({ layer, from, to }) {
  const [size, count] = layer.sizes;
  const delta = flat(layer.delta), a = flat(nodes.get(layer.input).value);
  if (!delta || !a || delta.length !== trace.rows * count) return ["the sum of δ · a = "];
  const shownRows = Math.min(trace.rows, FEW_TERMS);
  const terms = Array.from({ length: shownRows }, (_, row) => [
    row ? " + " : "", ...factor(delta[row * count + to], row === 0), " · ",
    ...factor(a[row * size + from], false)]);
  const rest = trace.rows > shownRows ? [` + … (${trace.rows} rows)`] : [];
  return [trace.rows > 1 ? "Σ δ · a = " : "δ · a = ", ...terms.flat(), ...rest, " = "];
}
