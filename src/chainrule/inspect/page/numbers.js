// Numbers as text, and arrays as matrices. A number that the reader is asked for is a blank.

const MOST_ROWS = 8, MOST_COLUMNS = 8, FEW = 4;
const NOT_FINITE = { NaN: "NaN", Infinity: "∞", "-Infinity": "−∞" };

function shown(number, digits = 6) {
  if (number === null) return "–"; // the least of no numbers
  if (typeof number === "boolean") return String(number);
  if (typeof number === "string") return NOT_FINITE[number];
  const size = Math.abs(number);
  const usual = size === 0 || (size >= 1e-4 && size < 1e6);
  const text = usual ? String(Number(number.toPrecision(digits))) : number.toExponential(digits - 2);
  return text.replaceAll("-", "−");
}

// Whether a number is an answer of this step that was not revealed yet. Its key is the kind of the
// number, the node, and the place: "v7.2" is element 2 of the value of node 7.
function isBlank(key) {
  if (!state.hidden || !key) return false;
  return key.split(/[.p]/)[0] === current().answer && !state.revealed.has(key);
}

function numberOf(value, key = null, digits = 6) {
  if (isBlank(key)) {
    return make("button", {
      class: "blank", type: "button", "data-key": key, "data-digits": digits,
      "aria-label": "hidden number: reveal it", onclick: () => reveal([key]),
    }, "?");
  }
  return make("span", {
    class: "number", "data-key": key, "data-value": value, title: String(value),
  }, shown(value, digits));
}

// The elements of an array with at most 256 of them, in rows; null for a larger one.
function flat(array) {
  return array && array.values !== null ? [array.values].flat(Infinity) : null;
}

// Rows and columns of an array with up to two axes, as [value, place] pairs. A vector is a row, or
// a column where it is turned.
function grid(array, turned) {
  const found = flat(array);
  if (found === null || array.shape.length > 2) return null;
  const columns = array.shape.length ? array.shape[array.shape.length - 1] : 1;
  const rows = columns ? found.length / columns : 0;
  const at = (i, j) => [found[i * columns + j], i * columns + j];
  return turned
    ? Array.from({ length: columns }, (_, j) => Array.from({ length: rows }, (_, i) => at(i, j)))
    : Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => at(i, j)));
}

function sizes(array) {
  return array.shape.length ? array.shape.join(" × ") : "one number";
}

// An array: a number, a matrix, or the summary of a large one.
function matrix(array, { key = null, turned = false, label = "" } = {}) {
  if (array === null) return make("span", { class: "unknown" }, "–");
  const found = grid(array, turned);
  if (found === null || found.length > MOST_ROWS || (found[0] || []).length > MOST_COLUMNS) {
    return summary(array, key, label, turned);
  }
  if (!array.shape.length) return numberOf(found[0][0][0], key && `${key}.0`);
  const rows = found.map((row) => make("tr", {}, row.map(([value, place]) =>
    make("td", {}, numberOf(value, key && `${key}.${place}`)))));
  return make("div", { class: "matrix", "data-array": key },
    make("table", { "aria-label": `${label} ${sizes(array)}`.trim() }, make("tbody", {}, rows)));
}

// A large array: how large, its range, and its first rows and columns.
function summary(array, key, label, turned) {
  const facts = ["minimum", "maximum", "mean", "norm"].map((name) => [
    make("dt", {}, name), make("dd", {}, numberOf(array.summary[name], key && `${key}.${name}`, 4)),
  ]);
  const [height, width] = matrixSizes(array, turned);
  const size = turned && array.shape.length < 3 ? `${height} × ${width}` : sizes(array);
  const parts = [make("p", { class: "size" }, size),
    make("dl", {}, facts.flat())];
  const corner = firstOf(array, turned && array.shape.length < 3);
  if (corner !== null) {
    const more = (sign) => make("td", { class: "more" }, sign);
    const isWider = width > corner[0].length;
    const rows = corner.map((row, i) => make("tr", {},
      row.map((value, j) => make("td", {}, numberOf(value, key && `${key}.c${i}-${j}`, 3))),
      isWider ? more("…") : null));
    if (height > corner.length) {
      rows.push(make("tr", {}, corner[0].map(() => more("⋮")), isWider ? more("⋱") : null));
    }
    parts.push(make("div", { class: "matrix corner" },
      make("table", { "aria-label": `${label} first numbers`.trim() }, make("tbody", {}, rows))));
  }
  return make("div", { class: "summary", "data-array": key }, parts);
}

// The rows and columns of a matrix, of the last two axes of a larger array, or of a vector.
function matrixSizes({ shape }, turned) {
  const [height, width] = [1, ...shape].slice(-2);
  return turned && shape.length < 3 ? [width, height] : [height, width];
}

function firstOf(array, turned) {
  let corner = array.corner || array.values;
  if (!Array.isArray(corner) || !corner.length) return null;
  while (Array.isArray(corner[0]) && Array.isArray(corner[0][0])) corner = corner[0];
  const rows = Array.isArray(corner[0]) ? corner : [corner];
  const few = rows.slice(0, FEW).map((row) => row.slice(0, FEW));
  return turned ? few[0].map((_, j) => few.map((row) => row[j])) : few;
}

// Matrices and the signs between them, in one line where there is room.
function equation(...pieces) {
  return make("div", { class: "equation" }, pieces.filter((piece) => piece !== null).map((piece) =>
    typeof piece === "string" ? make("span", { class: "sign" }, piece) : piece));
}

// A short form of an array for a cell of a table; a row of a matrix is a line.
function inCell(array, key, turned = false) {
  if (array === null) return make("span", { class: "unknown" }, "–");
  const found = flat(array);
  if (found === null || found.length > 8) {
    return make("span", { class: "size" }, `${sizes(array)}, norm `,
      numberOf(array.summary.norm, key && `${key}.norm`, 4));
  }
  const rows = grid(array, turned && array.shape.length === 2)
    || [found.map((value, place) => [value, place])];
  return make("div", {}, rows.map((row) => make("div", { class: "list" }, row.map(
    ([value, place]) => numberOf(value, key && `${key}.${place}`, 5)))));
}
