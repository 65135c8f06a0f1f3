// The playground: asks the model after every change and draws the answer. What users type and
// what the model says only ever becomes text nodes and attributes, never markup.
"use strict";

const MODEL = `v1/models/${encodeURIComponent(document.body.dataset.model)}`;
const LABELS = {text: "Text", text_pair: "Second text", question: "Question", context: "Context"};
const EXAMPLES = [
  "The river flows through the city into the sea.",
  "The band released its first of in 1994.",
  "She won the gold medal at the 1996 Summer Olympics.",
];
const SHOWN_FROM = 0.1; // the probability from which it stands below the word
const PAUSE = 150; // milliseconds after the last key, before the model is asked

const byId = (id) => document.getElementById(id);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", {ignoreBOM: true});
const swaps = []; // {before, old, start, fresh}: the text before, the Words, and the place in bytes
let fields = {}; // textareas by the name of the input
let draw = null; // draws the answer of this model's kind
let timer = 0;
let asked = 0; // the number of the last request: answers to earlier ones come too late

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const percent = (probability) => `${Math.round(probability * 100)} %`;

// Offsets count bytes, so texts are cut as bytes. Lone surrogates become U+FFFD, here and there.
const wellFormed = (text) => decoder.decode(encoder.encode(text));

function slicer(text) {
  const bytes = encoder.encode(text);
  return (start, end) => decoder.decode(bytes.subarray(start, end));
}

async function call(path, content) {
  const response = await fetch(MODEL + path, content && {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(content)});
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
  byId("problem").textContent = error instanceof TypeError
    ? "The playground does not answer: is it still running?" : error.message;
  byId("problem").hidden = false;
  byId("answer").classList.remove("late");
}

async function update() {
  clearTimeout(timer);
  const number = ++asked;
  const texts = Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, wellFormed(field.value)]));
  byId("answer").classList.add("late");
  try {
    const {predictions} = await call(":predict", {instances: [texts]});
    if (number !== asked) return false;
    byId("problem").hidden = true;
    byId("answer").replaceChildren();
    draw(byId("answer"), predictions[0], texts);
    byId("answer").hidden = false;
    byId("answer").classList.remove("late");
    return true;
  } catch (error) {
    if (number === asked) complain(error);
    return false;
  }
}

function updateSoon() {
  clearTimeout(timer);
  timer = setTimeout(update, PAUSE);
}

// ---- Replaced words -----------------------------------------------------------------------------

// Tokens whose places in the text overlap are one word.
function wordsOf(answer, text) {
  const slice = slicer(text);
  const words = [];
  answer.tokens.forEach((token, index) => {
    const [start, end] = [answer.start_offset[index], answer.end_offset[index]];
    if (start === end) return; // [CLS], [SEP], padding or a blank
    const probability = answer.replaced_probability[index];
    const last = words.at(-1);
    if (last && start < last.end) {
      last.end = Math.max(last.end, end);
      last.text = slice(last.start, last.end);
      last.tokens.push({text: token, probability});
      last.probability = Math.max(last.probability, probability);
    } else {
      words.push({start, end, text: slice(start, end), probability,
        tokens: [{text: token, probability}]});
    }
  });
  return words;
}

// What each token covers of the word as typed; the tokens themselves, lower-cased and without
// accents, where that cannot be told.
function pieces(word) {
  if (word.tokens.length === 1) return [word.text];
  const plain = word.tokens.map(({text}) => text.replace(/^(##|\u2581)/, ""));
  const lengths = plain.map((piece) => [...piece].length);
  const letters = [...word.text];
  if (lengths.reduce((sum, length) => sum + length) !== letters.length) return plain;
  return lengths.map((length) => letters.splice(0, length).join(""));
}

function wordButton(word, texts) {
  const texted = pieces(word);
  const button = element("button", {type: "button", className: "word"},
    ...word.tokens.map(({text, probability}, index) => {
      const token = element("span", {className: "token", title: `${text} ${percent(probability)}`},
        texted[index]);
      token.style.setProperty("--probability", probability);
      token.dataset.probability = probability;
      return token;
    }));
  button.setAttribute("aria-label",
    `${word.text}, ${percent(word.probability)} likely replaced, press to swap`);
  button.dataset.start = word.start;
  if (word.probability >= SHOWN_FROM) {
    const share = element("small", {className: "percent"}, `${Math.round(word.probability * 100)}`);
    share.setAttribute("aria-hidden", "true");
    button.append(share);
  }
  button.addEventListener("click", () => edit(button, word, texts.text));
  return button;
}

function drawReplaced(place, answer, texts) {
  const slice = slicer(texts.text);
  const words = wordsOf(answer, texts.text);
  const line = element("div", {className: "text"});
  let end = 0;
  for (const word of words) {
    line.append(slice(end, word.start), wordButton(word, texts));
    end = word.end;
  }
  const rest = slice(end);
  line.append(rest.trim() && words.length
    ? element("span", {className: "cut", title: "Not read by the model"}, rest) : rest);
  place.append(line);
  describe(words);
}

function describe(words) {
  byId("legend").hidden = !words.length;
  const rank = [...words].sort((one, other) => other.probability - one.probability);
  byId("status").textContent = words.length
    ? `${words.length} words. Most suspicious: “${rank[0].text}”, ${percent(rank[0].probability)}.`
    : "Type a sentence.";
  const last = swaps.at(-1);
  if (last && !last.fresh) {
    last.fresh = words.find((word) => word.start === last.start);
    last.rank = rank.indexOf(last.fresh) + 1;
    last.among = rank.length;
  }
  drawSwaps();
}

function drawSwaps() {
  byId("swaps").hidden = !swaps.length;
  byId("swaps").querySelector("ol").replaceChildren(...swaps.map(({old, fresh, rank, among}) =>
    fresh ? element("li", {}, `“${old.text}” `, element("b", {}, percent(old.probability)), " → “",
      fresh.text, "” ", element("b", {}, percent(fresh.probability)),
      `: suspicion ${rank} of ${among}`)
      : element("li", {}, `“${old.text}” → nothing`)));
}

function edit(button, word, text) {
  const slice = slicer(text);
  const editor = element("input", {className: "editor", value: word.text,
    size: Math.max([...word.text].length, 2), spellcheck: false});
  editor.setAttribute("aria-label", `Instead of ${word.text}; Enter swaps, Escape keeps`);
  let open = true;

  async function close(swap, focus) {
    if (!open) return;
    open = false;
    if (!swap || editor.value === word.text) {
      editor.replaceWith(button);
      if (focus) button.focus();
      return;
    }
    swaps.push({before: text, old: word, start: word.start});
    fields.text.value = slice(0, word.start) + editor.value + slice(word.end);
    await update();
    if (focus) byId("answer").querySelector(`[data-start="${word.start}"]`)?.focus();
  }

  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") {
      event.preventDefault();
      close(event.key === "Enter", true);
    }
  });
  editor.addEventListener("blur", () => close(true, false));
  button.replaceWith(editor);
  editor.focus();
  editor.select();
}

// ---- Fine-tuned models --------------------------------------------------------------------------

function drawLabels(place, answer) {
  answer.labels.forEach((label, index) => {
    const probability = answer.probabilities[index];
    const share = element("span", {className: "share"});
    share.style.setProperty("--probability", probability);
    const isChosen = answer.chosen ? answer.chosen[index] : label === answer.label;
    place.append(element("div", {className: isChosen ? "row chosen" : "row"},
      element("span", {}, label), share, element("span", {className: "number"},
        percent(probability))));
  });
  const chosen = answer.labels.filter((label, index) =>
    answer.chosen ? answer.chosen[index] : label === answer.label);
  byId("status").textContent = `Label: ${chosen.join(", ") || "none"}.`;
}

function drawTags(place, answer, texts) {
  const slice = slicer(texts.text);
  const line = element("div", {className: "text"});
  let end = 0;
  answer.words.forEach((word, index) => {
    if (!answer.mask[index]) return;
    line.append(slice(end, answer.start_offset[index]));
    end = answer.end_offset[index];
    const tag = answer.tags[index];
    line.append(tag === "O" ? word : element("span", {className: "tagged",
      title: percent(answer.probability[index])}, word, element("small", {}, tag)));
  });
  place.append(line);
}

function drawAnswer(place, answer, texts) {
  const slice = slicer(texts.context);
  const [start, end] = [answer.start_offset, answer.end_offset];
  place.append(element("p", {className: "figure"}, answer.answer || "No answer"),
    element("div", {}, slice(0, start), answer.answer ? element("mark", {}, slice(start, end))
      : slice(start, end), slice(end)));
  byId("status").textContent = `Score ${answer.score.toFixed(2)}` + (
    "null_score" in answer ? `, of having no answer ${answer.null_score.toFixed(2)}.` : ".");
}

// Pseudo-log-likelihoods: their sum, and each token with its own.
function drawTokenScores(place, answer) {
  const line = element("div", {className: "text"});
  answer.tokens.forEach((token, index) => {
    if (answer.end_offset[index]) { // not [CLS], [SEP] or padding
      line.append(element("span", {className: "tagged"}, token,
        element("small", {}, answer.token_scores[index].toFixed(2))));
    }
  });
  place.append(element("p", {className: "figure"}, answer.score.toFixed(3)), line);
}

// The only output of a signature comes without its name.
function drawScore(place, answer) {
  place.append(element("p", {className: "figure"}, Number(answer).toFixed(3)));
}

// What is not drawn in a way of its own: each output on a line.
function drawOther(place, answer) {
  const outputs = answer === Object(answer) && !Array.isArray(answer) ? answer : {answer};
  for (const [name, value] of Object.entries(outputs)) {
    place.append(element("p", {}, `${name}: ${JSON.stringify(value)}`));
  }
}

const KINDS = [["replaced_probability", drawReplaced], ["labels", drawLabels], ["tags", drawTags],
  ["answer", drawAnswer], ["token_scores", drawTokenScores], ["score", drawScore]];

async function start() {
  const {metadata} = await call("/metadata");
  const signature = metadata.signature_def.signature_def.serving_default;
  const kind = KINDS.find(([output]) => output in signature.outputs);
  draw = kind ? kind[1] : drawOther;
  const names = Object.keys({...LABELS, ...signature.inputs}); // known ones first
  for (const name of names.filter((name) => name in signature.inputs)) {
    fields[name] = element("textarea", {name, rows: 2, maxLength: 20000});
    fields[name].addEventListener("input", () => {
      swaps.length = 0; // they were of another text
      updateSoon();
    });
    byId("inputs").append(element("label", {}, LABELS[name] || name, fields[name]));
  }
  const [first] = Object.values(fields);
  if (draw === drawReplaced) {
    byId("introduction").append(". Each token is shaded by the probability of having been " +
      "replaced; click a word to swap it.");
    fields.text.value = EXAMPLES[0];
    byId("examples").append(...EXAMPLES.map((example) => {
      const button = element("button", {type: "button"}, example);
      button.addEventListener("click", () => {
        swaps.length = 0;
        fields.text.value = example;
        update();
      });
      return button;
    }));
    byId("examples").hidden = false;
  }
  byId("inputs").addEventListener("submit", (event) => event.preventDefault());
  byId("undo").addEventListener("click", () => {
    fields.text.value = swaps.pop().before;
    update();
  });
  first.focus();
  await update();
}

start().catch(complain);
