// Frames: the steps that the page plays, and what is known at each of them.

const PHASES = { start: "Start", forward: "Forward", backward: "Backward", update: "Update",
  end: "The step is done" };
const outputs = new Set(trace.layers.map((layer) => layer.output));
const lastOutput = Math.max(...trace.outputs);

// Whether a node is a step of its own where not every operation is asked for: what has a letter,
// and what stands between the layers.
function isMain(node) {
  if (["preactivation", "activation", "loss", "parameter"].includes(node.role)) return true;
  if (!trace.layers.length || outputs.has(node.id) || isComputedWeight(node)) return true;
  return node.role === "value" && node.layer === null && node.id <= lastOutput;
}

function makeFrames(everything) {
  const wanted = (node) => everything || isMain(node);
  const found = [{ phase: "start", answer: null }];
  for (const node of trace.nodes) {
    if (node.operation && wanted(node)) {
      found.push({ phase: "forward", node, answer: `v${node.id}` });
    }
  }
  for (const id of trace.backward) {
    const node = nodes.get(id);
    if (wanted(node)) found.push({ phase: "backward", node, answer: `g${id}` });
  }
  for (const [id, { parameter }] of held) {
    if (parameter.new !== null) {
      found.push({ phase: "update", parameter, node: nodes.get(id), answer: `n${id}` });
    }
  }
  found.push({ phase: "end", answer: "after" });
  return found;
}

let frames = makeFrames(false);
let known = whenKnown();

// From which frame on each value (v), gradient (g) and new weight (n) is known. What has no frame
// of its own is known with the next that has one.
function whenKnown() {
  const found = new Map();
  const first = (phase) => frames.findIndex((frame) => frame.phase === phase);
  const note = (kind, order, phase) => {
    let position = first(phase);
    for (const id of order) {
      const own = frames.findIndex((frame, at) => at >= position && frame.answer === `${kind}${id}`);
      if (own > 0) position = own;
      found.set(`${kind}${id}`, own > 0 ? own : nextOf(kind, order, id, position));
    }
  };
  const nextOf = (kind, order, id, position) => {
    const rest = order.slice(order.indexOf(id) + 1);
    for (const later of rest) {
      const at = frames.findIndex((frame) => frame.answer === `${kind}${later}`);
      if (at > 0) return at;
    }
    return position;
  };
  note("v", trace.nodes.filter((node) => node.operation).map((node) => node.id), "forward");
  note("g", trace.backward, "backward");
  for (const [at, frame] of frames.entries()) {
    if (frame.phase === "update") found.set(frame.answer, at);
  }
  return found;
}

function isKnown(key) {
  const at = known.get(key);
  return at === undefined ? key[0] === "v" : at <= state.position;
}

function current() {
  return frames[state.position];
}

// Plays every operation, or the main ones; the step under way stays where it is.
function chooseFrames(everything) {
  const before = current();
  state.everything = everything;
  frames = makeFrames(everything);
  known = null;
  known = whenKnown();
  const same = frames.findIndex(
    (frame) => frame.phase === before.phase && frame.answer === before.answer);
  state.position = same >= 0 ? same
    : Math.max(0, frames.findIndex((frame) => frame.phase === before.phase));
}
