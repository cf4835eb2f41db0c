"use strict";
document.documentElement.classList.add("scripted");
const trials = document.querySelectorAll(".trial");
const chooser = document.querySelector("#trial");

function choose(index) {
  trials.forEach((trial, at) => trial.classList.toggle("chosen", at === index));
  if (chooser) chooser.value = String(index);
}

function selectText(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// Where the clipboard is not allowed, the text is left selected.
async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  } catch {
    selectText(code);
    button.textContent = "selected";
  }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const button = target && target.closest("button");
  const dot = target && target.closest(".dot");
  if (button && button.dataset.trial !== undefined) {
    choose(Number(button.dataset.trial));
    document.querySelector("#timelines").scrollIntoView({ behavior: "smooth" });
  } else if (button) {
    copy(button);
  } else if (dot) {
    document.querySelectorAll(".dot.picked").forEach((other) => other.classList.remove("picked"));
    dot.classList.add("picked");
    const place = document.querySelector("#picked");
    const [what, line] = dot.querySelector("title").textContent.split("\n");
    place.querySelector("p").textContent = what;
    place.querySelector("code").textContent = place.dataset.command.replace("%", () => line);
    place.hidden = false;
  }
});

if (chooser) chooser.addEventListener("change", () => choose(Number(chooser.value)));
if (trials.length > 0) choose(0);
