/* Patchbay's helper for the page that embeds it: makes the frame, fits its
   height, passes the theme on, renews the session, and turns the frame's
   messages into events. No dependency; nothing is stored.

     const box = Patchbay.embed("#accounts", {session: "/connect/session"});
     box.element.addEventListener("patchbay:connected", e => …e.detail.data.connector…);

   or, without any script of one's own:

     <script src="https://connect.example/embed.js" data-session="/connect/session" data-into="#accounts" async></script>

   session is an address of the page's own back end, which is asked by POST and
   answers {"url": …} with a new embed session's address, or a function that
   returns that address or object, or a promise of it. */
(() => {
  "use strict";
  const script = document.currentScript;
  const home = script ? new URL(script.src).origin : "";
  const here = location.origin;

  async function newSession(from) {
    let got = from;
    if (typeof from === "function") got = await from();
    else {
      const answer = await fetch(from, {method: "POST", credentials: "same-origin", headers: {accept: "application/json"}});
      if (!answer.ok) throw Object.assign(new Error(`${from} answered ${answer.status}`), {status: answer.status});
      got = (await answer.text()).trim();
      if (got[0] === "{" || got[0] === "\"") got = JSON.parse(got);
    }
    const url = new URL(got && got.url || got);
    if (url.origin !== home) throw new Error(`the session's address is on ${url.origin}, and this script is from ${home}`);
    return url.href;
  }

  function embed(target, options) {
    const element = typeof target === "string" ? document.querySelector(target) : target;
    if (!element) throw new TypeError(`Patchbay.embed: no element ${target}`);
    if (!home) throw new Error("Patchbay.embed: load embed.js by a script element from Patchbay itself");
    const {session, lang, title = "Connected accounts", minHeight = 160, on} = options || {};
    if (!session) throw new TypeError("Patchbay.embed: options.session is missing");
    let {theme} = options;

    const frame = document.createElement("iframe");
    frame.title = title;
    Object.assign(frame.style, {display: "block", width: "100%", border: "0", height: minHeight + "px"});
    const line = document.createElement("p");
    line.setAttribute("role", "status");
    line.hidden = true;
    element.append(line, frame);

    const flows = new Set(); // under way
    let over = false, asking = false, due = false, tries = 0, timer, again;

    function tell(type, data, id) {
      element.dispatchEvent(new CustomEvent("patchbay:" + type, {bubbles: true, detail: {type, session: id, data}}));
      if (on) on(type, data);
    }
    function problem(reason, hint) {
      line.textContent = "The connected accounts cannot be shown. " + hint;
      line.hidden = false;
      tell("problem", {reason, hint});
    }
    function send(type, data) {
      if (frame.contentWindow) frame.contentWindow.postMessage({patchbay: 1, type, data}, home);
    }
    function dress() {
      const scheme = theme && theme.scheme;
      // Of one scheme with the frame's page, or the browser paints a backdrop.
      frame.style.colorScheme = scheme === "light" || scheme === "dark" ? scheme : "";
      send("init", {theme, lang});
    }
    function fit(height) {
      if (Number.isFinite(height)) frame.style.height = Math.max(minHeight, Math.ceil(height)) + "px";
    }

    async function renew() {
      if (over || asking) return;
      // Nobody looks: a page left open does not ask for sessions all night.
      if (document.hidden && !flows.size && tries) return due = true;
      asking = true;
      due = false;
      tries++;
      clearTimeout(again);
      try {
        const url = await newSession(session);
        if (over) return;
        const focused = document.activeElement === frame, next = frame.nextSibling, parent = frame.parentNode || element;
        // Taken out and put back, the frame leaves no step in the history.
        frame.remove();
        frame.src = url;
        parent.insertBefore(frame, next);
        if (focused) frame.focus();
        clearTimeout(timer);
        timer = setTimeout(problem, 10000, "not_ready", `The frame has not answered in 10 seconds. Likely: ${here} is not the origin of the session, or not among the app's origins; this page's Content-Security-Policy has no frame-src ${home}; a sandbox attribute lacks allow-scripts or allow-same-origin; or ${home} cannot be reached. The browser's console says which.`);
      } catch (e) {
        const passing = !(e.status < 500) || e.status === 429;
        problem("session", `No session could be made: ${e.message}.` + (typeof session === "string" ? ` ${session} has to answer a POST of a signed-in user with {"url": …}.` : ""));
        if (passing) again = setTimeout(renew, Math.min(3e5, 5000 * 2 ** Math.min(tries, 6)));
      } finally {
        asking = false;
      }
    }

    function hear(e) {
      if (e.source !== frame.contentWindow || e.origin !== home || !e.data || e.data.patchbay !== 1) return;
      const {type, session: id, data} = e.data;
      if (typeof type !== "string" || !data) return;
      if (type === "ready") {
        clearTimeout(timer);
        tries = 1;
        line.hidden = true;
        dress();
      }
      if (type === "ready" || type === "resize") fit(data.height);
      if (type === "flow.started" || type === "flow.waiting") flows.add(data.flow);
      if (type === "connected" || type === "error") flows.delete(data.flow);
      tell(type, data, id);
      if (type === "session.expiring" || type === "exit" && data.reason === "expired") renew();
    }
    function refused(e) {
      if (!/^(frame|child|default)-src/.test(e.effectiveDirective) || !String(e.blockedURI).startsWith(home)) return;
      clearTimeout(timer);
      problem("csp", `This page's Content-Security-Policy forbids the frame: add ${home} to frame-src.`);
    }
    function seen() { if (due && !document.hidden) renew(); }

    addEventListener("message", hear);
    document.addEventListener("securitypolicyviolation", refused);
    document.addEventListener("visibilitychange", seen);
    renew();

    return {
      frame, element,
      refresh: () => send("refresh"),
      close: () => send("close"),
      setTheme(t) { theme = t; dress(); },
      destroy() {
        over = true;
        clearTimeout(timer);
        clearTimeout(again);
        removeEventListener("message", hear);
        document.removeEventListener("securitypolicyviolation", refused);
        document.removeEventListener("visibilitychange", seen);
        frame.remove();
        line.remove();
      },
    };
  }

  window.Patchbay = Object.assign(window.Patchbay || {}, {embed});

  if (script && script.dataset.session) {
    const {session, into, scheme, accent, background, text, radius, lang, title, minHeight} = script.dataset;
    const theme = {scheme, accent, background, text, radius: radius === undefined ? undefined : +radius};
    const mount = () => embed(into || script.parentElement, {session, theme, lang, title, minHeight: minHeight ? +minHeight : undefined});
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mount);
    else mount();
  }
})();
