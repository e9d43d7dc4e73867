// What Acme Notes does with what Patchbay's frame says: it brings the list of linked
// accounts up to date and, for builders, writes down every message. The list itself
// always comes from Acme's own back end; a message is only the reason to ask again.
"use strict";
(() => {
  const types = [
    "ready", "resize", "flow.started", "flow.waiting", "window.not_opened",
    "connected", "disconnected", "error", "session.expiring", "exit",
  ];
  const field = (name) => document.querySelector(`[data-field="${name}"]`);
  const parsed = new Promise((done) => {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done);
    else done();
  });

  // The helper turns messages, which it has checked, into events that bubble. It adds
  // "problem" for what it notices itself.
  for (const type of [...types, "problem"]) {
    document.addEventListener(`patchbay:${type}`, (event) => heard(type, event.detail?.data ?? event.detail));
  }

  // An iframe of Acme's own is listened to here: from that window and that origin only.
  window.addEventListener("message", (event) => {
    const frame = document.querySelector("iframe[data-origin]");
    if (!frame || event.source !== frame.contentWindow || event.origin !== frame.dataset.origin) return;
    const { patchbay, type, data } = event.data ?? {};
    if (patchbay !== 1 || !types.includes(type)) return;
    heard(type, data);
    tend(frame, type, data ?? {});
  });

  // Scripts that cannot be loaded say so by an error that does not bubble.
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLScriptElement && event.target.dataset.into) {
      field("frame-problem").hidden = false;
    }
  }, true);

  async function heard(type, data) {
    await parsed;
    write(type, data);
    if (type === "connected" || type === "disconnected") await refreshLinked();
  }

  // write adds a line to the log, where there is one.
  function write(type, data) {
    const list = field("messages");
    if (!list) return;
    const line = document.createElement("li");
    const [name, body] = [document.createElement("strong"), document.createElement("code")];
    line.dataset.type = name.textContent = type;
    body.textContent = JSON.stringify(data ?? null);
    line.append(name, " ", body);
    list.append(line);
    if (list.children.length > 500) list.firstElementChild.remove();
    field("no-messages").hidden = true;
    list.parentElement.scrollTop = list.parentElement.scrollHeight;
  }

  let newest = 0;
  async function refreshLinked() {
    const mine = ++newest;
    const answer = await fetch("/linked", { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) return; // what is shown stays; a reload will tell
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("linked");
    const shown = document.getElementById("linked");
    if (!fresh || !shown || mine !== newest) return;
    const held = shown.contains(document.activeElement) ? document.activeElement.dataset.connector : undefined;
    shown.replaceWith(fresh);
    if (held) fresh.querySelector(`button[data-connector="${CSS.escape(held)}"]`)?.focus();
  }

  // tend does for an iframe of our own what the helper does for its.
  function tend(frame, type, data) {
    if ((type === "ready" || type === "resize") && Number.isFinite(data.height)) {
      frame.style.height = `${Math.min(Math.max(Math.ceil(data.height), 80), 20000)}px`;
    }
    if (type === "ready") {
      const theme = JSON.parse(frame.dataset.theme);
      frame.style.colorScheme = theme.scheme === "auto" ? "" : theme.scheme;
      frame.contentWindow.postMessage({ patchbay: 1, type: "init", data: { theme } }, frame.dataset.origin);
    }
    if (type === "session.expiring" || (type === "exit" && data.reason === "expired")) renew(frame);
  }

  async function renew(frame) {
    const answer = await fetch(frame.dataset.session, { method: "POST" }).catch(() => null);
    if (answer?.ok) frame.src = (await answer.json()).url;
  }
})();
