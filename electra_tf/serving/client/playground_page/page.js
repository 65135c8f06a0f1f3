// The playground: finds out from its metadata what a model can be asked, asks it after every
// change, and has the answer drawn by the kind that is selected.

import {number, oneLabel, questions, severalLabels, tags} from "./finetuned.js";
import {byId, element, wellFormed} from "./parts.js";
import {fillMask, plausibility} from "./pretrained.js";
import {replaced} from "./replaced.js";

// A kind: `title`, `introduction`, `inputs` and `outputs` that its signature must have, with
// `isAlone` no others; `draw(place, answers, texts, page)`, which returns what is said of the
// answers. If need be `examples`, `labels` of fields, `tools` beside them, `adapted(signature)`:
// more of these, `rowsOf(texts)`: the rows to ask for, `forget()` when something else changes the
// text.
const KINDS = [replaced, fillMask, severalLabels, oneLabel, tags, questions, plausibility, number];
const LABELS = {text: "Text", text_pair: "Second text", question: "Question", context: "Context"};
const MODEL = `v1/models/${encodeURIComponent(document.body.dataset.model)}`;
const DEFAULT = "serving_default";
const PAUSE = 150; // milliseconds after the last key, before the model is asked
const SHOWN = 2000; // characters of an output that no kind draws

const fields = new Map(); // textareas by the name of the input
let kinds = []; // that the model has, with the names of their signatures and the texts they show
let kind = null; // the selected one
let timer = 0;
let asked = 0; // the number of the last request: answers to earlier ones come too late

// What is not drawn in a way of its own: each output in a paragraph.
const other = {
  title: "Outputs",
  introduction: "This page draws the answers of this model's kind as they come.",
  draw(place, [answer]) {
    const outputs = answer === Object(answer) && !Array.isArray(answer) ? answer : {answer};
    for (const [name, value] of Object.entries(outputs)) {
      const shown = JSON.stringify(value);
      place.append(element("p", {className: "output"}, element("b", {}, `${name}: `),
        shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown));
    }
    return "";
  },
};

// What kinds may do with the page.
const page = {
  rows: [], // that the answers are to
  field: (name) => fields.get(name),
  focus: (name) => fields.get(name).focus(),
  set(texts) {
    for (const [name, text] of Object.entries(texts)) fields.get(name).value = text;
    return update();
  },
};

async function call(path, content) {
  let response;
  try {
    response = await fetch(MODEL + path, content && {method: "POST",
      headers: {"Content-Type": "application/json"}, body: JSON.stringify(content)});
  } catch {
    throw new Error("The playground does not answer: is it still running?");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`HTTP ${response.status} without an answer of a model server`);
  }
  if (!response.ok) throw new Error(answer.error || `HTTP ${response.status}`);
  return answer;
}

function complain(error) {
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
  byId("answer").hidden = true; // it is to another text
  byId("status").textContent = "";
  byId("answer").removeAttribute("aria-busy");
}

async function predictions(rows) {
  if (!rows.length) return [];
  const signature = kind.signature === DEFAULT ? {} : {signature_name: kind.signature};
  const answer = await call(":predict", {...signature, instances: rows});
  return answer.predictions;
}

function draw(answers, texts) {
  const place = element("div");
  try {
    byId("status").textContent = kind.draw(place, answers, texts, page);
  } catch (error) {
    console.warn(error);
    throw new Error("The model's answer is not one that this page can draw.");
  }
  byId("answer").replaceChildren(...place.childNodes);
  byId("answer").hidden = !byId("answer").childNodes.length;
}

async function update() {
  clearTimeout(timer);
  const number = ++asked;
  const texts = Object.fromEntries(
    [...fields].map(([name, field]) => [name, wellFormed(field.value)]));
  kind.texts = texts;
  const rows = kind.rowsOf ? kind.rowsOf(texts) : [texts];
  byId("answer").setAttribute("aria-busy", "true");
  try {
    const answers = await predictions(rows);
    if (number !== asked) return;
    page.rows = rows;
    draw(answers, texts);
    byId("problem").hidden = true;
    byId("answer").removeAttribute("aria-busy");
  } catch (error) {
    if (number === asked) complain(error);
  }
}

function updateSoon() {
  kind.forget?.(); // what was done with another text
  clearTimeout(timer);
  timer = setTimeout(update, PAUSE);
}

// ---- Kinds --------------------------------------------------------------------------------------

const takesText = ({inputs}) => Object.values(inputs).every(({dtype}) => dtype === "DT_STRING");

// The kinds that a model has, the default signature's first.
function kindsOf(signatures) {
  const isDefault = (name) => name === DEFAULT;
  const names = Object.keys(signatures).filter((name) => takesText(signatures[name]));
  const found = new Map();
  for (const name of names.sort((one, another) => isDefault(another) - isDefault(one))) {
    const {inputs, outputs} = signatures[name];
    const fit = KINDS.find((each) => each.inputs.every((key) => key in inputs)
      && each.outputs.every((key) => key in outputs)
      && !(each.isAlone && Object.keys(outputs).length > each.outputs.length));
    if (fit && !found.has(fit)) found.set(fit, name);
  }
  if (!found.size) found.set(other, DEFAULT);
  const place = ([each, name]) => isDefault(name) ? -1 : KINDS.indexOf(each);
  return [...found].sort((one, another) => place(one) - place(another))
    .map(([each, name]) => ({...each, ...each.adapted?.(signatures[name]), signature: name,
      names: Object.keys(signatures[name].inputs)}));
}

function select(selected) {
  clearTimeout(timer);
  kind?.forget?.();
  kind = selected;
  for (const tab of byId("tabs").children) {
    const isSelected = tab.dataset.signature === kind.signature;
    tab.setAttribute("aria-selected", isSelected);
    tab.tabIndex = isSelected ? 0 : -1;
    if (isSelected) byId("panel").setAttribute("aria-labelledby", tab.id);
  }
  byId("title").textContent = kind.title;
  byId("introduction").textContent = kind.introduction;
  for (const part of [byId("answer"), byId("problem")]) part.hidden = true;
  byId("status").textContent = "";
  makeFields();
  makeExamples();
  return update();
}

function makeFields() {
  fields.clear();
  const known = Object.keys(LABELS).filter((name) => kind.names.includes(name));
  for (const name of new Set([...known, ...kind.names])) {
    const field = element("textarea", {name, rows: kind.rowsOf || name === "context" ? 3 : 2,
      maxLength: 20000, dir: "auto",
      value: kind.texts?.[name] ?? kind.examples?.[0][name] ?? ""});
    field.addEventListener("input", updateSoon);
    fields.set(name, field);
  }
  byId("inputs").replaceChildren(
    ...[...fields].map(([name, field]) =>
      element("label", {}, kind.labels?.[name] ?? LABELS[name] ?? name, field)),
    ...(kind.tools ?? []).map(({label, use}) => {
      const button = element("button", {type: "button", className: "pill"}, label);
      button.addEventListener("click", () => use(page));
      return button;
    }));
}

function makeExamples() {
  byId("examples").hidden = !kind.examples || kind.examples.length < 2;
  byId("examples").replaceChildren(...(kind.examples ?? []).map((example) => {
    const button = element("button", {type: "button", className: "pill"},
      Object.values(example)[0].replaceAll("\n", " / "));
    button.addEventListener("click", () => {
      kind.forget?.();
      page.set(example);
    });
    return button;
  }));
}

// Tabs as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ has them: one is in the order of the Tab
// key, arrows go to the others.
function makeTabs() {
  byId("tabs").hidden = false;
  byId("panel").setAttribute("role", "tabpanel");
  byId("tabs").append(...kinds.map((each, index) => {
    const tab = element("button", {type: "button", id: `tab-${index}`}, each.title);
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "panel");
    tab.dataset.signature = each.signature;
    tab.addEventListener("click", () => {
      history.replaceState(null, "", `#${each.signature}`);
      select(each);
    });
    return tab;
  }));
  byId("tabs").addEventListener("keydown", (event) => {
    const tabs = [...byId("tabs").children];
    const here = tabs.indexOf(document.activeElement);
    const there = {ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: -1}[event.key];
    if (there === undefined) return;
    event.preventDefault();
    const tab = tabs.at(there % tabs.length);
    tab.focus();
    tab.click();
  });
}

async function start() {
  byId("inputs").addEventListener("submit", (event) => event.preventDefault());
  const {metadata} = await call("/metadata");
  kinds = kindsOf(metadata.signature_def.signature_def);
  if (kinds.length > 1) makeTabs();
  const wanted = kinds.find(({signature}) => location.hash === `#${signature}`);
  await select(wanted ?? kinds[0]);
}

start().catch(complain);
