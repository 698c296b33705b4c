// The page of `birnn serve`: asks /model once, /predict and /explain for each text, and shows what they say.
// All text is set as text, never as markup; styles are set one by one, so that a strict policy may forbid others.

const $ = id => document.getElementById(id);
const MOST_ROWS = 200; // of the table of numbers
const MOST_BARS = 12; // labels of a classifier that are shown
const PATIENCE = 60_000; // milliseconds until a request is given up

let models = [];
let running = null; // what stops the request under way

// ------------------------------------------------------------------ making elements

const element = (name, properties = {}, ...children) => {
  const made = document.createElement(name);
  const { style, data, ...others } = properties;
  for (const [key, value] of Object.entries(others)) {
    if (key in made && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  for (const [key, value] of Object.entries(style ?? {})) made.style.setProperty(key, value);
  made.append(...children);
  return made;
};

const percent = share => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;

const number = value => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const shown = size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
  return shown.replace("-", "\u2212");
};

const counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Offsets count characters as Python does, code points: JavaScript's strings have two units for an emoji.
const cutter = text => {
  const points = Array.from(text);
  return (start, end) => points.slice(start, end).join("");
};

// ------------------------------------------------------------------ the server

class Refusal extends Error {}

const ask = async (path, body, signal) => {
  let response;
  try {
    response = await fetch(path, body === undefined ? { signal } : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
    });
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw error;
    if (signal?.aborted) throw new Refusal("The server took too long. Try a shorter text, or again later.");
    throw new Refusal("The server does not answer. Is it still running?");
  }
  let told = null;
  try {
    told = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
  }
  if (response.ok && told !== null) return told;
  const detail = typeof told?.detail === "string" ? told.detail : "";
  throw new Refusal(worded(response.status, detail));
};

const worded = (status, detail) => {
  const why = detail ? ` (${detail})` : "";
  if (status === 429 || status === 503) return `The server is busy. Try again in a moment${why}.`;
  if (status === 413) return `The text is too long for this server${why}.`;
  if (status >= 500) return `The server failed${why}. Its log says more.`;
  return detail ? `The server refuses this: ${detail}` : `The server refuses this: status ${status}.`;
};

// ------------------------------------------------------------------ models

const chosen = () => models[$("model").selectedIndex] ?? models[0];

const article = word => (/^[aeiou]/i.test(word) ? "An" : "A");

const keys = (...names) => names.flatMap((name, at) => [...(at ? ["+"] : []), element("kbd", {}, name)]);

const showModel = () => {
  const model = chosen();
  const vectors = model.holds === "vectors";
  $("title").textContent = model.name;
  document.title = `${model.name} · birnn`;
  const low = model.precision === "float32" ? "" : ` in ${model.precision}`;
  const size = `${counted(model.parameters, "parameter")}${low}`;
  $("lead").textContent = `${article(model.task)} ${model.task} with ${size}: it gives ${model.gives}.`;
  $("asked").textContent = vectors ? "Series: one step a line, its numbers with blanks between" : "Text";
  const [reads, breaks] = vectors ? [["Ctrl", "Enter"], ["Enter"]] : [["Enter"], ["Shift", "Enter"]];
  $("keys").replaceChildren(...keys(...reads), " reads it, ", ...keys(...breaks), " begins a new line");
  $("text").dir = vectors ? "ltr" : "auto";
  $("text").placeholder = vectors ? "0.1 0.2\n0.3 0.1" : model.task === "filler" ? "I am ___ today." : "";
};

const hueOf = (model, label) => {
  const types = model.types ??= [...new Set(model.labels.map(typeOf))].filter(type => type !== "O");
  const at = Math.max(0, types.indexOf(typeOf(label)));
  return (205 + 137.508 * at) % 360; // the golden angle: neighbours are far apart
};

const typeOf = label => label.replace(/^[BIELSUMW][-_]/, "");

// ------------------------------------------------------------------ answers

// Not dir=auto at the answer: it would not look into the words, each of which has a direction of its own.
const direction = () => getComputedStyle($("text")).direction;

const entityMark = (model, entity) => element("mark", {
  style: { "--hue": hueOf(model, entity.label) },
  title: `${entity.label}, probability ${percent(entity.score)}`,
}, element("bdi", {}, entity.text), element("b", {}, entity.label), element("i", {}, percent(entity.score)));

const entities = (model, answer) => {
  const cut = cutter(answer.text);
  const running = element("p", { className: "running", dir: direction() });
  let at = 0;
  for (const entity of answer.entities) {
    running.append(cut(at, entity.start), entityMark(model, entity));
    at = entity.end;
  }
  running.append(cut(at, undefined));
  const said = answer.entities.length
    ? answer.entities.map(e => `${e.text}: ${e.label}, ${percent(e.score)}`).join("; ")
    : "nothing is marked in this text";
  const none = element("p", { className: "note" }, "Nothing is marked in this text.");
  return [[element("div", { className: "passage" }, running), ...(answer.entities.length ? [] : [none])],
    `${counted(answer.entities.length, "entity", "entities")}. ${said}`];
};

const tags = (model, answer) => {
  const words = answer.tokens.map((token, at) => {
    const share = answer.probabilities?.[at];
    const below = element("small", {}, element("b", {}, answer.tags[at]));
    if (share !== undefined) below.append(` ${percent(share)}`);
    return element("li", { className: "word", style: { "--hue": hueOf(model, answer.tags[at]) } },
      element("bdi", {}, token), below);
  });
  const said = answer.tokens.slice(0, 50).map((token, at) => `${token} ${answer.tags[at]}`).join(", ");
  const list = element("ul", { className: "words", dir: direction() }, ...words);
  return [[element("div", { className: "passage" }, list)], `${counted(words.length, "tag")}: ${said}`];
};

const bars = (pairs, picked) => {
  const list = element("dl", { className: "bars" });
  for (const [label, share] of pairs) {
    list.append(
      element("dt", { className: picked.includes(label) ? "chosen" : "" }, element("bdi", {}, label)),
      element("dd", { className: "bar", "aria-hidden": "true" }, element("span", { style: { "--share": share } })),
      element("dd", { className: "number" }, percent(share)));
  }
  return element("div", { className: "passage" }, list);
};

const labels = (model, answer) => {
  const pairs = answer.labels.slice(0, MOST_BARS).map(({ label, score }) => [label, score]);
  // One label, or a set of those that it gives: it may be empty.
  const picked = "label" in answer ? [answer.label] : pairs.map(([label]) => label);
  if (!pairs.length) {
    const none = "None of its labels is given to this text.";
    return [[element("p", { className: "note" }, none)], none];
  }
  const said = pairs.map(([label, share]) => `${label} ${percent(share)}`).join(", ");
  return [[bars(pairs, picked)], `${picked.join(", ")}. ${said}`];
};

const gaps = (model, answer) => {
  const parts = answer.likeliest.map((words, at) => [
    element("p", { className: "note" }, answer.likeliest.length > 1 ? `Gap ${at + 1}` : "For the gap"),
    bars(Object.entries(words), [answer.words[at]]),
  ]);
  const none = [element("p", { className: "note" }, "There is no gap in this text. A gap is written ___.")];
  return [parts.length ? parts.flat() : none, answer.words.join(", ") || "no gap in this text"];
};

const plain = text => [[element("div", { className: "passage" },
  element("p", { className: "big", dir: "auto" }, text))], text];

// What an answer is shown as, by the field that it has; the first that fits.
const SHOWN = {
  entities,
  tags: (model, answer) => (answer.tokens ? tags(model, answer) : plain(answer.tags.join(" "))),
  labels,
  likeliest: gaps,
  target: (model, answer) => plain(answer.target.join(answer.target.some(s => s.length > 1) ? " " : "") || "(nothing)"),
  values: (model, answer) => plain(answer.values.map(number).join(", ")),
};

const showAnswer = (model, answer) => {
  const field = Object.keys(SHOWN).find(name => Array.isArray(answer[name]));
  const [parts, said] = field ? SHOWN[field](model, answer) : plain(JSON.stringify(answer));
  $("answer-body").replaceChildren(...parts);
  $("answer").hidden = false;
  return said;
};

// ------------------------------------------------------------------ which half decided

const MEASURES = {
  margin: "the lead of the answer over the next best",
  logit: "the logit of the label furthest above its threshold",
  value: "the value",
  "log-probability": "the logarithm of the answer’s probability",
};

const leaning = balance => (balance > 0.2 ? "forward" : balance < -0.2 ? "backward" : "both");

const half = (name, value, most) => element("span", {
  className: `${name}${value < 0 ? " against" : ""}`, style: { "--share": Math.min(1, Math.abs(value) / most) },
});

const showHalves = (model, found) => {
  const words = found.words.filter(word => word.forward !== null && word.forward !== undefined);
  if (!words.length) return;
  const two = model.directions === 2;
  const most = Math.max(...words.flatMap(word => [Math.abs(word.forward), Math.abs(word.backward)]), 1e-9);
  const items = found.words.map(word => {
    if (word.forward === null || word.forward === undefined) return element("li", {}, element("bdi", {}, word.text));
    const side = leaning(word.balance);
    const told = two ? `forward ${number(word.forward)}, backward ${number(word.backward)}` : number(word.forward);
    const pair = element("span", { className: "pair", "aria-hidden": "true" }, half("forward", word.forward, most));
    if (two) pair.append(half("backward", word.backward, most));
    return element("li", {
      title: told,
      style: two && side !== "both"
        ? { "--side": `var(--${side})`, "--lean": Math.abs(word.balance) } : {},
    }, element("bdi", {}, word.text || "\u00a0"), pair, element("span", { className: "unseen" }, ` ${told}. `));
  });
  const measure = MEASURES[found.measure] ?? found.measure;
  const what = two
    ? `The bars: how much ${measure} falls where that half knows nothing of this text. Pale: how much it rises.`
    : `The bars: how much ${measure} falls where nothing is known of this text. This model reads in one direction.`;
  const key = element("ul", { className: "key" },
    element("li", { className: "forward" }, two ? "forward half, from the left" : "forward"),
    ...(two ? [element("li", { className: "backward" }, "backward half, from the right")] : []));
  $("halves-body").replaceChildren(
    ...(found.whole && two ? [element("p", {}, whole(found.whole))] : []),
    element("div", { className: "passage" }, element("ul", { className: "words halves", dir: direction() }, ...items)),
    key, element("p", { className: "note" }, what + (found.own_means
      ? " The model has no means over data: a half’s states are replaced by their mean over this text." : "")),
    numbers(found.words, two));
  $("halves").hidden = false;
};

const whole = decision => {
  const side = leaning(decision.balance);
  const told = `forward ${number(decision.forward)}, backward ${number(decision.backward)}`;
  return side === "both" ? `Both halves decided alike: ${told}.` : `The ${side} half decided: ${told}.`;
};

const numbers = (words, two) => {
  const columns = two ? ["forward", "backward", "both"] : ["forward"];
  const shown = words.slice(0, MOST_ROWS);
  const head = element("tr", {}, element("th", { scope: "col" }, "word"),
    ...columns.map(name => element("th", { scope: "col", className: "number" }, name === "both" ? "without either" : `without ${name}`)));
  const rows = shown.map(word => element("tr", {}, element("th", { scope: "row", dir: "auto" }, word.text),
    ...columns.map(name => element("td", { className: "number" }, number(word[name])))));
  const title = shown.length < words.length ? `Numbers of the first ${MOST_ROWS} of ${words.length.toLocaleString("en")} words` : "Numbers";
  return element("details", {}, element("summary", {}, title),
    element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "what the answer loses" },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
};

const decide = async (model, question, signal) => {
  try {
    showHalves(model, await ask("explain", question, signal));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // The answer above stays: only what decided it is not known.
    $("halves-body").replaceChildren(element("p", { className: "fault" }, error.message));
    $("halves").hidden = false;
  }
};

// ------------------------------------------------------------------ a text is read

const series = text => text.split("\n").filter(line => line.trim())
  .map(line => line.trim().split(/[\s,;]+/).map(cell => {
    const value = Number(cell);
    if (!Number.isFinite(value)) throw new Refusal(`“${cell}” is no number.`);
    return value;
  }));

const say = text => { $("status").textContent = text; };

const complain = text => {
  $("fault").textContent = text;
  $("fault").hidden = !text;
};

const busy = on => {
  $("submit").setAttribute("aria-busy", String(on));
  $("submit").textContent = on ? "Reading …" : "Read it";
};

const read = async () => {
  running?.abort();
  const own = running = new AbortController();
  const signal = AbortSignal.any([own.signal, AbortSignal.timeout(PATIENCE)]);
  const model = chosen();
  if (!model) return;
  complain("");
  busy(true);
  say("Reading");
  try {
    const text = $("text").value;
    const question = { model: model.name, ...(model.holds === "vectors" ? { series: series(text) } : { text }) };
    const { answer } = await ask("predict", question, signal);
    say(showAnswer(model, answer));
    $("halves").hidden = true;
    await decide(model, question, signal);
  } catch (error) {
    if (own.signal.aborted) return; // another text is being read
    if (!(error instanceof Refusal)) throw error;
    say("");
    complain(error.message);
    $("halves").hidden = true;
  } finally {
    if (running === own) {
      running = null;
      busy(false);
    }
  }
};

$("form").addEventListener("submit", event => {
  event.preventDefault();
  read();
});
$("text").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (chosen()?.holds === "vectors" && !event.ctrlKey && !event.metaKey) return; // a series has many lines
  event.preventDefault();
  $("form").requestSubmit();
});
$("model").addEventListener("change", () => {
  running?.abort();
  showModel();
  for (const part of ["answer", "halves"]) $(part).hidden = true;
  complain("");
});

try {
  ({ models } = await ask("model"));
  $("model").append(...models.map(({ name }) => element("option", { value: name }, name)));
  $("models").hidden = models.length < 2;
  showModel();
  $("text").focus();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  $("lead").textContent = "No model can be asked.";
  complain(error.message);
}
