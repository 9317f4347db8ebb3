// The grad_table so far, and the tables that say what the pictures show.

function gradTable() {
  const filled = trace.backward.map((id) => nodes.get(id))
    .filter((node) => isKnown(`g${node.id}`) && (state.everything || isMain(node)));
  const rows = filled.map((node) => make("tr",
    { "aria-current": current().answer === `g${node.id}` ? "step" : null },
    make("th", { scope: "row" }, called(node)),
    make("td", {}, node.operation || node.role),
    make("td", {}, inCell(node.gradient, `g${node.id}`, isTurned(node)))));
  if (!rows.length) {
    return make("p", { class: "note" }, "Empty: the way back has not begun.");
  }
  return table(["variable", "operation", "gradient"], rows, "grad_table");
}

function table(headings, rows, label) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    make("table", { class: "listing" },
      make("thead", {}, make("tr", {}, headings.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, rows)));
}

function knownCell(array, key) {
  return isKnown(key) ? inCell(array, key) : make("span", { class: "unknown" }, "–");
}

// Every neuron of fully connected layers: z, a and delta.
function neuronTable() {
  const rows = dense.flatMap((layer, number) => {
    const [, count] = layer.sizes;
    const z = flat(nodes.get(layer.preactivation).value), a = flat(nodes.get(layer.output).value);
    const delta = flat(layer.delta);
    return Array.from({ length: count }, (_, j) => {
      const at = state.row * count + j;
      const cell = (found, key) => make("td", {}, found && isKnown(key)
        ? numberOf(found[at], `${key}.${at}`) : make("span", { class: "unknown" }, "–"));
      return make("tr", {}, make("th", { scope: "row" }, `layer ${number + 1}, neuron ${j + 1}`),
        cell(z, `v${layer.preactivation}`), cell(a, `v${layer.output}`),
        cell(delta, `g${layer.preactivation}`));
    });
  });
  const z = letterOf(nodes.get(dense[0].preactivation)), a = letterOf(nodes.get(dense[0].output));
  return table(["neuron", z, z === a ? "value" : a, deltaLetter()], rows, "Neurons");
}

// Every weight of fully connected layers; its button shows where its gradient comes from.
function connectionTable() {
  const rows = weights().map((one) => {
    const { W, place } = one;
    const cell = (found, key) => make("td", {}, found && isKnown(key)
      ? numberOf(flat(found)[place], `${key}.${place}`) : make("span", { class: "unknown" }, "–"));
    return make("tr", {},
      make("th", { scope: "row" }, make("button", { type: "button", class: "link",
        "data-connection": nameOf(one), onclick: () => choose(one) }, ends(one))),
      make("td", {}, numberOf(flat(W.old)[place])),
      cell(W.gradient, `g${W.id}`), cell(W.new, `n${W.id}`));
  });
  const loss = lossName();
  return table(["connection", "w", `d${loss}/dw`, "new w"], rows, "Connections");
}

function layerTable() {
  const rows = trace.layers.map((layer, number) => {
    const output = nodes.get(layer.output), z = layer.preactivation;
    return make("tr", {}, make("th", { scope: "row" }, layer.path || String(number + 1)),
      make("td", {}, [layer.kind, layer.activation].filter(Boolean).join(", ")),
      make("td", {}, sizes(output.value)),
      make("td", {}, knownCell(output.value, `v${output.id}`)),
      make("td", {}, layer.delta && z !== null ? knownCell(layer.delta, `g${z}`)
        : knownCell(layer.output_gradient, `g${output.id}`)));
  });
  return table(["layer", "kind", "output", "values", "δ"], rows, "Layers");
}

function nodeTable() {
  const rows = trace.nodes.map((node) => make("tr", {},
    make("th", { scope: "row" }, called(node)),
    make("td", {}, node.operation || node.role),
    make("td", {}, node.inputs.map((id) => called(nodes.get(id))).join(", ")),
    make("td", {}, knownCell(node.value, `v${node.id}`)),
    make("td", {}, node.gradient ? knownCell(node.gradient, `g${node.id}`) : "")));
  return table(["node", "operation", "inputs", "value", "gradient"], rows, "Nodes");
}

const twins = {
  neurons: () => [neuronTable(), connectionTable()],
  layers: () => [layerTable()],
  operations: () => [nodeTable()],
};
