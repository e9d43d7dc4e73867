// The script of a framed page. It keeps the page true by what the server tells,
// and tells the page around it, which is known by one exact origin. Everything
// on the page works without it.
(() => {
  if (self.origin === "null") return; // the page itself says what is missing

  const root = document.documentElement, page = document.body.dataset, host = page.origin;
  const find = (s, within = document) => within.querySelector(s);
  const all = (s, within = document) => [...within.querySelectorAll(s)];
  const cards = (within = document) => all("main [data-connector]", within);
  const card = (id, within) => cards(within).find(c => c.dataset.connector === id);
  root.classList.add("on");

  // Remembered over the documents of one session: the last change told, what is
  // connected, the theme. Storage may be refused; then each document begins anew.
  const place = "patchbay:" + page.session;
  let memory = {};
  try { memory = JSON.parse(sessionStorage.getItem(place)) || {}; } catch {}
  function keep(more) {
    Object.assign(memory, more);
    try { sessionStorage.setItem(place, JSON.stringify(memory)); } catch {}
  }

  // Messages. Only these fields ever leave.
  const fields = {
    "flow.started": ["flow", "connector"],
    "flow.waiting": ["flow", "connector"],
    connected: ["flow", "connector", "connection", "account", "missing_scopes", "assurance"],
    disconnected: ["connector", "revoked"],
    error: ["flow", "connector", "code", "who", "retry", "trace"],
  };
  let seq = 0;
  function post(type, data) {
    if (host && parent !== self) parent.postMessage({patchbay: 1, type, session: page.session, seq: ++seq, data}, host);
  }
  const height = () => Math.ceil(root.getBoundingClientRect().height);
  const exit = reason => post("exit", {reason, connected: [...linked]});

  // What the page shows.
  const linked = new Set(memory.linked), awaited = new Set(), faces = new WeakMap();
  let drawn = +page.after || 0; // the newest change that the page shows
  function note() {
    for (const c of cards()) {
      if (!faces.has(c)) faces.set(c, JSON.stringify(c.dataset) + c.textContent);
      const {connector, state, flow} = c.dataset;
      linked[state === "connected" || state === "waiting" && find("[data-action=reconnect]", c) ? "add" : "delete"](connector);
      if (flow && !awaited.has(flow)) {
        awaited.add(flow);
        post("flow.waiting", {flow, connector});
      }
    }
    keep({linked: [...linked]});
  }

  const say = kind => {
    const words = document.createElement("div");
    words.className = "notice is-warn";
    words.append(find(`template[data-say=${kind}]`).content.cloneNode(true));
    return words;
  };
  const speak = text => find("#live").textContent = text;

  // The control that has the focus, so that its like has it afterwards.
  function hold() {
    const el = document.activeElement, c = el.closest("[data-connector]");
    if (!c) return () => {};
    const {selectionStart, selectionEnd} = el;
    const like = el.name ? `[name="${CSS.escape(el.name)}"]` : el.dataset.action ? `[data-action=${el.dataset.action}]` : "top" in el.dataset ? "[data-top]" : el.localName;
    return () => {
      if (el === document.activeElement) return;
      const now = card(c.dataset.connector);
      const to = now && (find(like, now) || find("a,button", now)) || find("main");
      to.focus({preventScroll: true});
      if (el.name && to.name === el.name) to.setSelectionRange(selectionStart, selectionEnd);
    };
  }
  // What a person has typed and unfolded.
  function carry(old, now) {
    for (const input of all("input:not([type=hidden])", old)) {
      const like = find(`[name="${CSS.escape(input.name)}"]`, now);
      if (like && input.value !== input.defaultValue) like.value = input.value;
    }
    const title = d => find("summary", d).textContent;
    for (const d of all("details[open]", old)) {
      const like = all("details", now).find(n => title(n) === title(d));
      if (like) like.open = true;
    }
  }
  function show(fresh) {
    const main = find("main"), next = find("main", fresh), now = fresh.body.dataset;
    if (over || !next) return;
    drawn = +now.after || drawn;
    page.live = now.live || page.live;
    lasts(now.expiresIn);
    const release = hold(), changed = [], ids = d => cards(d).map(c => c.dataset.connector).join("\n");
    const whole = ids(document) !== ids(fresh);
    for (const c of cards(fresh)) {
      const old = card(c.dataset.connector);
      if (old && faces.get(old) === JSON.stringify(c.dataset) + c.textContent) {
        // The ticket of an unchanged card may have been used all the same.
        const [had, has] = [old, c].map(x => find("[name=ticket]", x));
        if (had && has) had.value = has.value;
        if (whole) c.replaceWith(old);
        continue;
      }
      changed.push(c);
      if (old) carry(old, c);
      if (!whole) old.replaceWith(c);
    }
    if (whole) main.replaceWith(next);
    else {
      const [had, has] = [main, next].map(m => find(".past", m));
      if (had && has) had.replaceWith(has);
    }
    release();
    if (changed.length) speak(changed.map(c => all("h2,.state,.ended .strong", c).map(e => e.textContent).join(", ")).join(". "));
    note();
  }
  let asking = false, stale = false;
  async function refresh() {
    if (over) return;
    if (page.view !== "list" && page.view !== "settings") return location.reload();
    stale = true;
    if (asking) return;
    asking = true;
    for (let pause = 1000; stale && !over; ) {
      stale = false;
      try {
        show(new DOMParser().parseFromString((await ask("/page?view=" + page.view)).html, "text/html"));
      } catch {
        stale = true;
        await new Promise(r => setTimeout(r, pause = Math.min(2 * pause, 3e4)));
      }
    }
    asking = false;
  }

  // What the server tells. Changes come in the order of their ids, from the one
  // after the last that was told, whichever way they come.
  let last = Math.min(drawn, memory.last ?? drawn);
  function take(changes) {
    let news = false;
    for (const change of changes) {
      if (!(change.id > last)) continue;
      const {type, connector, flow} = change;
      keep({last: last = change.id});
      if (type === "connected") linked.add(connector);
      if (type === "disconnected") linked.delete(connector);
      if (type === "flow.started") started(connector);
      if (type === "flow.waiting") awaited.add(flow);
      if (fields[type]) post(type, Object.fromEntries(fields[type].filter(f => f in change).map(f => [f, change[f]])));
      if (change.id > drawn) news = news || page.view === "list" || page.view === "settings" || flow && flow === find("main").dataset.flowId;
    }
    keep({linked: [...linked]});
    if (news) refresh();
  }

  let ends = 0, warned = false, over = false, channel = new AbortController();
  const lasts = seconds => { if (seconds !== undefined) ends = Date.now() + 1000 * seconds; };
  function tick() {
    const left = Math.ceil((ends - Date.now()) / 1000);
    if (over || left > 60) return;
    if (!warned) post("session.expiring", {seconds: Math.max(0, left)});
    warned = true;
    if (left < -1) expire();
  }
  function expire() {
    if (over) return;
    over = true;
    channel.abort();
    nudge();
    const main = find("main"), was = main.contains(document.activeElement);
    main.className = "panel";
    main.dataset.flowCode = "expired";
    main.replaceChildren(find("template[data-say=over]").content.cloneNode(true));
    all("header, #lost").forEach(e => e.remove());
    if (was) main.focus();
    speak(find(".h1", main).textContent);
    exit("expired");
    try { sessionStorage.removeItem(place); } catch {}
  }

  async function request(path, headers, signal) {
    const answer = await fetch(page.liveUrl + path, {
      headers: {...headers, authorization: "Bearer " + page.live}, signal, cache: "no-store", credentials: "omit",
    });
    if (answer.status === 410 || answer.status === 401) expire();
    if (!answer.ok) throw answer;
    return answer;
  }
  const ask = async (path, patience = 1e4) => {
    const stop = new AbortController(), timer = setTimeout(() => stop.abort(), patience);
    try { return await (await request(path, {accept: "application/json"}, stop.signal)).json(); } finally { clearTimeout(timer); }
  };
  async function look(wait = "", patience) {
    const heard = await ask("?after=" + last + wait, patience);
    lasts(heard.expires_in);
    take(heard.changes);
    return heard.changes.length;
  }

  // Three ways to hear of a change, the better first. What fails or is held back
  // on its way leads to the next; after a minute there the better is tried again.
  const ways = [stream, longPoll, poll];
  let way = 0, since = 0, fails = 0, nudge = () => {};
  function lower() { way = Math.min(way + 1, 2); since = Date.now(); }
  const sleep = ms => new Promise(done => {
    const timer = setTimeout(done, ms);
    nudge = () => { clearTimeout(timer); done(); };
  });
  function reached() {
    fails = 0;
    find("#lost")?.remove();
    document.body.classList.remove("lost");
  }
  async function listen() {
    const mine = channel;
    while (!over && !mine.signal.aborted) {
      if (way && Date.now() - since > 6e4) { way--; since = Date.now(); }
      try {
        await ways[way](mine.signal);
      } catch (e) {
        if (over || mine.signal.aborted) return;
        if (++fails > 1 || e.status === 429) lower();
        if (fails > 2 && !find("#lost")) {
          const words = say("lost");
          words.id = "lost";
          find("main").before(words);
          document.body.classList.add("lost");
        }
        await sleep(Math.min(3e4, 500 * 2 ** fails) * (.5 + Math.random() / 2));
      }
    }
  }
  async function stream(signal) {
    const begun = Date.now(), silence = new AbortController(), stop = () => silence.abort();
    let timer = setTimeout(stop, 3000), text = "", greeted = false;
    signal.addEventListener("abort", stop);
    try {
      const answer = await request("", {accept: "text/event-stream", "last-event-id": last}, silence.signal);
      const reader = answer.body.getReader(), decoder = new TextDecoder();
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        const events = (text + decoder.decode(value, {stream: true})).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const is = {}; // the fields of one event
          for (const line of event.split("\n")) is[line.slice(0, line.indexOf(":"))] = line.slice(line.indexOf(":") + 1).trim();
          if (is.event === "hello") { greeted = true; reached(); lasts(JSON.parse(is.data).expires_in); }
          if (is.event === "change") take([{...JSON.parse(is.data), id: +is.id}]);
          if (is.event === "end") return expire();
        }
        if (!greeted) continue;
        clearTimeout(timer);
        timer = setTimeout(stop, 25e3); // the server says something every 15 s
      }
    } catch (e) {
      if (!silence.signal.aborted || signal.aborted) throw e;
      return lower();
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      stop();
    }
    if (!greeted) lower();
    else if (Date.now() - begun < 5000) throw Error("cut short");
  }
  async function longPoll() {
    const begun = Date.now(), some = await look("&wait=20", 3e4);
    reached();
    if (!some && Date.now() - begun < 1e4) lower();
  }
  async function poll() {
    await look();
    reached();
    await sleep(2500);
  }

  // Presses. A tab that was opened shows only in that the server saw the start.
  const presses = new Map(); // by connector
  const spot = id => card(id) || find("main");
  function press(form, top) {
    const {start: id, then} = form.dataset, p = {id, then, top};
    unmark(spot(id));
    presses.set(id, p);
    // A tab that opens uses up the press; one that the sandbox forbids leaves it.
    setTimeout(() => p.unused = navigator.userActivation?.isActive, 300);
    setTimeout(judge, 2300, p);
  }
  async function judge(p) {
    const moot = () => over || presses.get(p.id) !== p;
    if (moot()) return;
    if (document.hidden) return p.late = true; // something is in front: ask when back
    try { await look("", 3000); } catch { return setTimeout(judge, 2300, p); }
    if (moot()) return;
    presses.delete(p.id);
    const likely = p.unused ? "sandbox" : "popup_blocked";
    missing(p.id, p.top ? "top" : likely, likely);
  }
  function started(id) {
    const then = presses.get(id)?.then;
    presses.delete(id);
    if (then) location.assign(then);
  }
  function missing(id, kind, likely) {
    const c = spot(id);
    unmark(c);
    const words = say(kind);
    words.dataset.flowCode = "window_not_opened";
    (find(".acts", c) || c).before(words);
    if (kind !== "forms") c.classList.add("unopened");
    speak(words.textContent);
    if (id) post("window.not_opened", {connector: id, likely});
  }
  function unmark(c) {
    c.classList.remove("unopened");
    find("[data-flow-code=window_not_opened]", c)?.remove();
  }
  let sent;
  addEventListener("submit", e => {
    sent = e.target;
    if (sent.dataset.start) press(sent, e.submitter?.formTarget === "_top");
  });
  addEventListener("click", e => {
    const button = e.target.closest("button"), form = button?.form;
    if (button?.dataset.action === "done") {
      exit("done");
      button.replaceWith(...say("done").childNodes);
    }
    // Without allow-forms a browser does not even ask whether to submit.
    if (!form || !form.matches(":valid")) return;
    sent = null;
    setTimeout(() => {
      if (sent !== form) missing(form.dataset.start, "forms", "sandbox");
    });
  });

  // The theme, from the page around us: a few values, each checked.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = v => typeof v === "string" && /^#([\da-f]{3}|[\da-f]{6})$/i.test(v) ? v : "";
  function luminance(hex) { // WCAG 2.2
    const full = hex.length < 7 ? hex.replace(/[\da-f]/gi, "$&$&") : hex;
    const [r, g, b] = [1, 3, 5].map(i => parseInt(full.slice(i, i + 2), 16) / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  }
  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + .05) / (low + .05);
  }
  function dress(theme) {
    const {scheme, accent, background, text, radius} = Object(theme), set = (name, value) => value ? root.style.setProperty(name, value) : root.style.removeProperty(name);
    keep({theme: {scheme, accent, background, text, radius}});
    const under = color(background), main = color(accent);
    // A background decides which of the two sets of colours can be read on it.
    const wanted = under ? contrast(under, "#1a1b20") < contrast(under, "#ededf1") ? "dark" : "light" : scheme === "light" || scheme === "dark" ? scheme : "";
    const behind = under || ((wanted || (dark.matches ? "dark" : "light")) === "dark" ? "#1a1b1f" : "#ffffff");
    const ink = color(text) && contrast(text, behind) >= 4.5 ? text : "";
    set("color-scheme", wanted);
    set("--accent", main);
    set("--on-accent", main && (contrast(main, "#000000") > contrast(main, "#ffffff") ? "#000" : "#fff"));
    set("--page", under);
    set("--text", ink);
    const round = typeof radius === "number" && radius >= 0 && radius <= 24;
    set("--radius", round && radius + "px");
    set("--radius-small", round && Math.min(radius, 4 + radius / 2) + "px");
    root.classList.toggle("own-page", !!under);
    root.classList.toggle("own-text", !!ink);
  }
  dark.addEventListener("change", () => dress(memory.theme));
  if (memory.theme) dress(memory.theme);

  addEventListener("message", e => {
    if (e.source !== parent || parent === self || e.origin !== host || e.data?.patchbay !== 1) return;
    const {type, data} = e.data;
    if (type === "init") dress(data?.theme);
    if (type === "refresh") refresh();
    if (type === "close") exit("closed");
  });

  // Begin.
  function begin() {
    if (!page.live) return;
    channel = new AbortController();
    listen();
  }
  lasts(page.expiresIn);
  let size = height();
  post("ready", {height: size, lang: root.lang, connectors: cards().map(c => ({id: c.dataset.connector, state: c.dataset.state}))});
  new ResizeObserver(() => {
    if (size !== (size = height())) post("resize", {height: size});
  }).observe(root);
  note();
  if (page.session && !page.live && find("main").dataset.flowCode === "expired") {
    over = true;
    exit("expired");
  }
  if (page.live) {
    tick();
    setInterval(tick, 1000);
    begin();
  }
  const back = () => {
    if (document.hidden || over) return;
    tick();
    nudge();
    for (const p of presses.values()) if (p.late) { p.late = false; judge(p); }
  };
  document.addEventListener("visibilitychange", back);
  addEventListener("online", back);
  addEventListener("pagehide", () => channel.abort());
  addEventListener("pageshow", e => { if (e.persisted) location.reload(); });
})();
