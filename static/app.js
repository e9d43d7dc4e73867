// Keeps a page that waits for something up to date: it asks for the same
// address again and swaps in what changed. Nothing on the page needs it.
const every = 2000, began = Date.now();
const find = (s, within = document) => within.querySelector(s);
let opened = false, timer;

const waits = () => {
  const {flowStatus, flowCode} = find("main").dataset;
  return opened || flowStatus && !flowCode || find("[data-state=waiting]");
};
const face = el => JSON.stringify(el.dataset) + find("[data-field=account]", el)?.textContent;
const ids = el => [...el.querySelectorAll("[data-connector]")].map(c => c.dataset.connector);

// Only what script opened may script close; the rest is said.
const offer = () => { if (find("[data-close]")) find("[data-close]").hidden = false; };

function swap(old, fresh) {
  const held = old.contains(document.activeElement) && document.activeElement;
  old.replaceWith(fresh);
  if (held) (find(`[data-action=${held.dataset.action}]`, fresh) || find("a,button", fresh) || find("main")).focus();
  find("#live").textContent = find("h1,.title", fresh)?.innerText;
  offer();
}

function compare(page) {
  const main = find("main"), fresh = find("main", page);
  if (!fresh) return;
  if (face(main) != face(fresh) && main.dataset.flowId || ids(main) + "" != ids(fresh)) {
    document.title = page.title;
    return swap(main, fresh);
  }
  for (const id of ids(fresh)) {
    const [old, now] = [main, page].map(el => find(`[data-connector="${CSS.escape(id)}"]`, el));
    if (face(old) != face(now)) swap(old, now);
  }
}

async function look() {
  clearTimeout(timer);
  if (document.hidden || !waits() || Date.now() - began > 9e5) return;
  try {
    const answer = await fetch(location.href, {cache: "no-store"});
    if (answer.ok) compare(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.status < 429) return;
  } catch {}
  timer = setTimeout(look, every);
}

addEventListener("submit", e => {
  if (e.target.target) opened = true, timer = setTimeout(look, every);
});
addEventListener("click", e => {
  if (!e.target.matches("[data-close]")) return;
  close();
  setTimeout(() => find("[data-stays]").hidden = !(e.target.hidden = true), 300);
});
document.addEventListener("visibilitychange", look);
offer();
look();
