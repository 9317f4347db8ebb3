// Elements of the page, and what all parts of it share.

const trace = JSON.parse(document.getElementById("trace").textContent);
const nodes = new Map(trace.nodes.map((node) => [node.id, node]));

// What the page shows now. `position` counts the frames; `row` is the row of the data whose numbers
// the picture has; `connection` is the weight that was chosen.
const state = {
  position: 0,
  row: 0,
  everything: false,
  hidden: false,
  revealed: new Set(),
  connection: null,
};

// A new element; attributes whose value is null or false are left out, text is never read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

// A formula's MathML, which the page was written with; null where there is none.
function formula(kind, id) {
  const found = byId(`${kind}-${id}`);
  return found && found.content.cloneNode(true);
}

// The parameters by their nodes, with a layer that has them.
const held = new Map(trace.layers.flatMap((layer) => layer.parameters.map((parameter) => {
  parameter.letter = greek(parameter.letter);
  return [parameter.id, { layer, parameter }];
})));

// Fully connected layers: the columns of the picture of neurons, after the inputs.
const dense = trace.layers.filter((layer) => layer.sizes !== null);

// A node as a reader calls it: by its letter, its place in the model, or its number.
function called(node) {
  return (held.has(node.id) && held.get(node.id).parameter.letter) || node.name || `%${node.id}`;
}

// What a gradient is called: the left side of its formula.
function gradientName(node) {
  const record = node.gradient_formula;
  return record ? spelled(record.text.split(" = ")[0]) : `d${lossName()}/d${called(node)}`;
}

function spelled(text) {
  return greek(text).replaceAll("delta", "δ").replace(/\bdl\/d/g, "dℓ/d");
}

// gamma1 and beta1, which are no part of a path, by their signs.
function greek(text) {
  const signs = { gamma: "γ", beta: "β" };
  return text.replace(/(?<![\w.])(d?)(gamma|beta)(?=\d)/g, (_, d, name) => d + signs[name]);
}

function lossName() {
  const loss = trace.nodes.find((node) => node.role === "loss");
  const name = (loss && loss.name) || "L";
  return name === "l" ? "ℓ" : name;
}
