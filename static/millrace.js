// What the pages do beyond HTML: live fragments, ticking times, log lines.
// Every page works without this file. It evaluates nothing, and all the words
// people see but the units of time come from the page.
(() => {
	"use strict";

	const root = document.documentElement;
	const one = (selector, in_ = document) => in_.querySelector(selector);
	const all = (selector, in_ = document) => in_.querySelectorAll(selector);

	// Storage may be forbidden; then choices last as long as the page.
	const memory = new Map();
	const recall = key => {
		try { return localStorage.getItem(key); } catch { return memory.get(key) ?? null; }
	};
	const remember = (key, value) => {
		try { localStorage.setItem(key, value); } catch { memory.set(key, value); }
	};

	// ---- what screen readers hear: at most one message in five seconds

	let said = 0, saying = 0;
	function say(text) {
		const status = one("#say");
		if (!status || !text) return;
		clearTimeout(saying);
		saying = setTimeout(() => {
			said = Date.now();
			status.textContent = text;
		}, Math.max(0, said + 5000 - Date.now()));
	}

	// ---- times

	// The server's clock is the one all times on the page were taken from.
	const skew = Date.now() - Date.parse(root.dataset.now || new Date().toISOString());
	const now = () => Date.now() - skew;

	function relative(ms) {
		const ahead = ms <= -1000; // what is nearer was written while the page was made
		const s = Math.abs(ms) / 1000;
		if (s < 45) return ahead ? "in a moment" : "just now";
		const [n, unit] = s < 3570 ? [Math.max(1, Math.round(s / 60)), "min"] : s < 84600 ? [Math.round(s / 3600), "h"] : [Math.round(s / 86400), "d"];
		return ahead ? `in ${n} ${unit}` : `${n} ${unit} ago`;
	}

	function took(ms, short) {
		const s = Math.max(0, Math.floor(ms / 1000));
		const min = short ? "m" : "min";
		const two = (a, u, b, v) => b ? `${a} ${u} ${b} ${v}` : `${a} ${u}`;
		if (s < 60) return `${s} s`;
		if (s < 3600) return two(Math.floor(s / 60), min, s % 60, "s");
		if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor(s % 3600 / 60), min);
		return two(Math.floor(s / 86400), "d", Math.floor(s % 86400 / 3600), "h");
	}

	const week = 7 * 86400e3;
	function tick() {
		const absolute = root.dataset.times === "absolute";
		for (const t of all("time[data-abs]")) {
			const age = now() - Date.parse(t.dateTime);
			const rel = Math.abs(age) < week ? relative(age) : t.dataset.abs;
			const text = absolute ? t.dataset.abs : rel;
			if (t.textContent !== text) t.textContent = text;
			const other = absolute ? rel : t.dataset.abs;
			if (t.title !== other) t.title = other;
		}
		if (paused) return;
		for (const t of all("[data-since]")) {
			const text = took(now() - Date.parse(t.dataset.since), t.dataset.short !== undefined);
			if (t.textContent !== text) t.textContent = text;
		}
	}

	// ---- theme and times: the form works without us, with a page turn

	const cookie = (name, value) => {
		const secure = location.protocol === "https:" ? "; secure" : "";
		document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; samesite=lax${secure}`;
	};

	document.addEventListener("submit", event => {
		const form = event.target, button = event.submitter;
		if (!form.matches("form[data-display]") || !button?.name) return;
		event.preventDefault();
		cookie(button.name, button.value);
		if (button.name === "theme") {
			if (button.value === "system") delete root.dataset.theme;
			else root.dataset.theme = button.value;
		} else if (button.name === "times") {
			root.dataset.times = button.value;
		}
		for (const b of all(`form[data-display] button[name="${button.name}"]`)) {
			if (b.hasAttribute("aria-pressed")) b.setAttribute("aria-pressed", b.value === button.value);
			else b.hidden = b.value === button.value;
		}
		tick();
	});

	// ---- live: one stream for each page; it says what changed, and the parts
	// that show it are fetched again from where the page came from

	const live = one("#live");
	let paused = recall("live") === "off";
	let stream = null, lastEvent = live?.dataset.last || "", failures = 0, lost = 0, retry = 0;

	function showLive(state) {
		const words = one("#live-state");
		if (!words) return;
		words.dataset.live = state;
		const text = words.dataset[state];
		if (words.textContent !== text) words.textContent = text;
		const button = one("#live-switch");
		button.hidden = false;
		button.textContent = state === "paused" ? button.dataset.go : button.dataset.stop;
	}

	function streamURL() {
		const url = new URL(live.dataset.stream, location.href);
		if (lastEvent) url.searchParams.set("since", lastEvent);
		return url.pathname + url.search;
	}

	function connect() {
		clearTimeout(retry);
		if (!live?.dataset.stream || paused || stream) return;
		const mine = stream = new EventSource(streamURL());
		mine.addEventListener("open", up);
		mine.addEventListener("changed", changed);
		mine.addEventListener("resync", event => {
			lastEvent = event.lastEventId || lastEvent;
			resync();
		});
		// The browser comes back by itself after a connection broke, and says
		// what it heard last, but not after it was refused.
		mine.addEventListener("error", () => {
			down();
			if (mine.readyState !== EventSource.CLOSED) return;
			disconnect();
			retry = setTimeout(connect, Math.min(60000, 1500 * 2 ** failures++) * (0.7 + Math.random() * 0.6));
		});
	}

	function disconnect() {
		clearTimeout(retry);
		stream?.close();
		stream = null;
	}

	// While the stream is down, look every half minute.
	function down() {
		showLive("lost");
		lost ||= setInterval(() => { if (!document.hidden) resync(); }, 30000);
	}

	function up() {
		failures = 0;
		if (!lastEvent) resync(); // the server cannot know what we missed
		clearInterval(lost);
		lost = 0;
		showLive("on");
	}

	function changed(event) {
		lastEvent = event.lastEventId || lastEvent;
		let change;
		try { change = JSON.parse(event.data); } catch { return; }
		for (const el of all("[data-live-topic]")) {
			const mine = el.dataset.liveTopic.split(" ").includes(change.topic);
			const known = Number(el.dataset.liveVersion) || 0;
			if (mine && !(change.version && known >= change.version)) refresh(el);
		}
	}

	// Nobody looks at a hidden tab, and browsers have few connections to spare.
	let sleep = 0;
	document.addEventListener("visibilitychange", () => {
		clearTimeout(sleep);
		if (document.hidden) sleep = setTimeout(disconnect, 60000);
		else connect();
	});

	// What is on the page is better than an error page inside it. A search that
	// cannot be read answers 422 with the reason in the place of the list.
	document.addEventListener("htmx:before:response", e => {
		if (paused && e.target.closest?.("[data-live-topic]")) { // it was on its way when the reader stopped the page
			e.preventDefault();
			return;
		}
		const { raw } = e.detail.ctx.response;
		if (!raw.ok && raw.status !== 422 && e.target.closest?.("[data-live-topic], [data-filter]")) {
			e.preventDefault();
			say(live?.dataset.failed);
		}
	});

	function resync() {
		for (const el of all("[data-live-topic]")) refresh(el);
	}

	// Fetches a part again: one request at a time, at most one a second, and one
	// more if something changed meanwhile.
	const running = new WeakMap();
	function refresh(el) {
		if (paused || !window.htmx || !el.dataset.liveUrl) return; // it may have been live before
		const state = running.get(el);
		if (state) {
			state.again = true;
			return;
		}
		running.set(el, { again: false });
		const log = one(".log[data-log]", el);
		const request = log && el.dataset.liveMode === "append"
			? append(el, log)
			: htmx.ajax("GET", el.dataset.liveUrl, { source: el, target: el, swap: "outerMorph" });
		const free = () => setTimeout(() => {
			const again = running.get(el)?.again;
			running.delete(el);
			if (again && el.isConnected) refresh(el);
		}, 1000);
		Promise.resolve(request).then(free, free);
	}

	// A growing log gets its new lines only. It stays at its end if the reader
	// is there.
	const keep = 5000;
	async function append(el, log) {
		const lines = one("ol", log);
		const url = new URL(el.dataset.liveUrl, location.href);
		url.searchParams.set("from", (Number(lines.lastElementChild?.id.slice(1)) || 0) + 1);
		const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
		await htmx.ajax("GET", url.pathname + url.search, { source: el, target: lines, swap: "beforeend" });
		while (lines.childElementCount > keep) lines.firstElementChild.remove();
		if (atEnd) log.scrollTop = log.scrollHeight;
	}

	one("#live-switch")?.addEventListener("click", () => {
		paused = !paused;
		remember("live", paused ? "off" : "on");
		clearInterval(lost);
		lost = 0;
		if (paused) {
			disconnect();
			showLive("paused");
		} else {
			showLive("lost");
			connect();
			resync();
		}
		tick();
	});

	// A part that was fetched again may be about more than the page was: a release
	// that has reached another project. What is heard is never less.
	function widen() {
		if (!live?.dataset.stream) return;
		const url = new URL(live.dataset.stream, location.href);
		const heard = url.searchParams.get("topics").split(",");
		const fresh = new Set([...all("[data-live-topic]")].flatMap(el => el.dataset.liveTopic.split(" ")).filter(t => t && !heard.includes(t)));
		if (fresh.size === 0) return;
		url.searchParams.set("topics", [...heard, ...fresh].join(","));
		live.dataset.stream = url.pathname + url.search;
		if (stream) {
			disconnect();
			connect();
		}
	}

	// What the page is about may have changed its state: the tab shows it too.
	let focused = null;
	document.addEventListener("htmx:before:swap", () => { focused = document.activeElement; });
	document.addEventListener("htmx:after:swap", () => {
		widen();
		const head = one("[data-page-title]");
		if (head) {
			if (document.title !== head.dataset.pageTitle) {
				document.title = head.dataset.pageTitle;
				say(head.dataset.pageSay || head.dataset.pageTitle);
			}
			const icon = one("link[rel=icon]");
			const href = icon?.dataset[head.dataset.pageIcon || "neutral"];
			if (href && icon.getAttribute("href") !== href) icon.setAttribute("href", href);
		}
		const asOf = one("#live-asof");
		if (asOf) {
			asOf.hidden = false;
			asOf.textContent = new Date().toLocaleTimeString("en-GB");
		}
		// The focused thing may be gone: then the reader is put at the content,
		// not at the top of the page.
		if (focused && focused !== document.body && !focused.isConnected && document.activeElement === document.body) {
			one("#main")?.focus({ preventScroll: true });
		}
		focused = null;
		unhide();
		tick();
	});

	// What a button asked for may come where nobody looks, below a long form.
	document.addEventListener("htmx:after:swap", e => {
		const part = e.target.dataset?.shows && one(e.target.dataset.shows);
		if (part && part.getBoundingClientRect().top > innerHeight) part.scrollIntoView();
	});

	// ---- filters: the list follows the form, and the address follows both

	document.addEventListener("htmx:config:request", e => {
		if (!e.target.matches?.("form[data-filter]")) return;
		const body = e.detail.ctx.request.body;
		for (const [key, value] of [...body]) if (value === "") body.delete(key);
	});
	document.addEventListener("htmx:after:request", e => {
		const form = e.target;
		if (!form.matches?.("form[data-filter]") || !e.detail.ctx.response.raw.ok) return;
		const query = new URLSearchParams();
		for (const [key, value] of new FormData(form)) if (value !== "") query.append(key, value);
		const text = query.toString();
		history.replaceState(history.state, "", form.getAttribute("action") + (text ? "?" + text : ""));
	});

	// ---- log: #L10-L20 marks lines; a shift-click extends the mark

	const range = () => {
		const m = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
		if (!m) return null;
		const a = Number(m[1]), b = Number(m[2] || m[1]);
		return [Math.min(a, b), Math.max(a, b)];
	};

	function mark(scroll) {
		const log = one(".log[data-log]");
		if (!log) return;
		for (const li of all("li.picked", log)) li.classList.remove("picked");
		const copy = one("#copy-lines"), lines = range();
		if (copy) copy.hidden = !lines;
		if (!lines) return;
		const first = document.getElementById("L" + lines[0]);
		if (!first) {
			// Not in this slice: ask for the slice that has it, once.
			const url = new URL(location.href);
			const from = String(Math.max(1, lines[0] - 20));
			if (url.searchParams.get("from") !== from && lines[0] <= Number(log.dataset.total)) {
				url.searchParams.set("from", from);
				location.replace(url);
			}
			return;
		}
		for (let n = lines[0]; n <= lines[1] && n < lines[0] + keep; n++) {
			document.getElementById("L" + n)?.classList.add("picked");
		}
		if (scroll) first.scrollIntoView({ block: "center" });
	}

	document.addEventListener("click", e => {
		const line = e.target.closest?.(".log[data-log] li > a");
		if (!line) return;
		const lines = range();
		if (e.shiftKey && lines) {
			e.preventDefault();
			const n = Number(line.parentElement.id.slice(1));
			const a = Math.min(lines[0], n), b = Math.max(lines[0], n);
			history.replaceState(history.state, "", `#L${a}-L${b}`);
			mark(false);
		}
	});
	window.addEventListener("hashchange", () => mark(false));

	document.addEventListener("change", e => {
		const box = e.target;
		if (box.id !== "wrap-lines") return;
		remember("wrap", box.checked ? "on" : "off");
		one(".log[data-log]")?.classList.toggle("wrap", box.checked);
	});

	// ---- copying

	document.addEventListener("click", async e => {
		const button = e.target.closest?.("button[data-copy]");
		if (!button) return;
		let text = button.dataset.copy;
		if (text === "lines") {
			text = [...all(".log[data-log] li.picked")].map(li => li.lastElementChild.textContent).join("\n") + "\n";
		} else if (text.startsWith("#")) {
			text = one(text)?.textContent ?? "";
		}
		try {
			await navigator.clipboard.writeText(text);
		} catch {
			const area = document.createElement("textarea");
			area.value = text;
			document.body.append(area);
			area.select();
			document.execCommand("copy");
			area.remove();
			button.focus();
		}
		const word = button.textContent;
		button.textContent = button.dataset.done;
		say(button.dataset.done);
		setTimeout(() => { button.textContent = word; }, 2000);
	});

	// ---- keys: one, and it can be switched off

	let keys = recall("keys") !== "off";
	document.addEventListener("keydown", e => {
		if (e.key !== "/" || !keys || e.ctrlKey || e.metaKey || e.altKey) return;
		if (e.target.closest?.("input, textarea, select, [contenteditable]")) return;
		e.preventDefault();
		one("#seek")?.focus();
	});
	one("#keys")?.addEventListener("click", e => {
		keys = !keys;
		remember("keys", keys ? "on" : "off");
		e.currentTarget.setAttribute("aria-pressed", keys);
	});

	// One menu at a time; Escape closes it and goes back to its button.
	document.addEventListener("toggle", e => {
		if (!e.target.matches?.("details.menu[open]")) return;
		for (const menu of all("details.menu[open]")) if (menu !== e.target) menu.open = false;
	}, true);
	document.addEventListener("keydown", e => {
		if (e.key !== "Escape") return;
		for (const menu of all("details.menu[open]")) {
			menu.open = false;
			if (menu.contains(document.activeElement)) one("summary", menu).focus();
		}
	});
	document.addEventListener("click", e => {
		for (const menu of all("details.menu[open]")) if (!menu.contains(e.target)) menu.open = false;
	});

	// ---- start

	// What only works with this file is hidden without it.
	function unhide() {
		for (const el of all("[data-js][hidden]")) {
			el.removeAttribute("data-js");
			el.hidden = false;
		}
	}

	function start() {
		unhide();
		one("#keys")?.setAttribute("aria-pressed", keys);
		if (!/(?:^|; )tz=/.test(document.cookie)) {
			const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
			if (zone) cookie("tz", zone);
		}
		const wrap = one("#wrap-lines");
		if (wrap && recall("wrap") === "on") {
			wrap.checked = true;
			one(".log[data-log]")?.classList.add("wrap");
		}
		const log = one(".logbox .log[data-log]");
		if (log && !range() && log.dataset.log === "tail") log.scrollTop = log.scrollHeight;
		mark(true);
		if (live?.dataset.stream) {
			showLive(paused ? "paused" : "lost");
			connect();
		}
		tick();
		setInterval(() => { if (!document.hidden) tick(); }, 1000);
	}

	// Browsers keep pages that were left, with their connections, and have six for
	// each host: after as many pages nothing would load any more.
	window.addEventListener("pagehide", disconnect);
	window.addEventListener("pageshow", e => {
		if (!e.persisted) return;
		connect();
		resync();
	});
	if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
	else start();
})();
