// How arrays stand on the page: as the formulas have them.

// A trace has data in rows and weights (out, in). In column form a row of the data is a column here.
// The letters of rows mean the transpose by their w.
const COLUMN = trace.form === "column";
const TRANSPOSED = trace.letters === "row";

const ofRows = nodesOfRows();

// The matrices whose rows are those of the data: what the data became.
function nodesOfRows() {
  const fromData = new Set(), found = new Set();
  for (const node of trace.nodes) {
    if (["input", "target"].includes(node.role) || node.inputs.some((id) => fromData.has(id))) {
      fromData.add(node.id);
      const { shape } = node.value;
      if (shape.length === 2 && shape[0] === trace.rows) found.add(node.id);
    }
  }
  return found;
}

// Whether a node's value and gradient stand turned.
function isTurned(node) {
  if (isComputedWeight(node)) return TRANSPOSED;
  if (!held.has(node.id)) return COLUMN && ofRows.has(node.id);
  const { layer, parameter } = held.get(node.id);
  if (node.value.shape.length === 1) return COLUMN && layer.sizes !== null;
  const hasLetter = nodes.get(layer.preactivation).role === "preactivation";
  return TRANSPOSED && hasLetter && nameIn(parameter) === "weight";
}

// Whether a node is a weight with a letter that is made of parameters, as weight_norm does.
function isComputedWeight(node) {
  return node.role === "value" && node.name !== null;
}

// A parameter's name in its module.
function nameIn(parameter) {
  return parameter.path.split(".").at(-1);
}

function arrayOf(node, field = "value", key = null, label = "") {
  return matrix(node[field], { turned: isTurned(node), key, label });
}
