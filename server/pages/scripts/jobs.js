/**
 * The job list keeps itself up to date: it asks for the same page as JSON, and changes what has changed, in place.
 * Needs no bundle. Every text of the answer becomes text, never markup.
 */
const SECONDS_BUSY = 2, SECONDS_IDLE = 10, SECONDS_MOST = 60;
const table = document.querySelector("table.jobs");
const status = document.querySelector("#jobs-status");
const unfinished = (job) => job.status === "accepted" || job.status === "running";
let failures = 0;
let timer = 0;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function clock(text) {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? "–" : moment.toLocaleTimeString();
}

/** When a job is expected to end, with the interval in the title. */
function expected(job) {
  const finish = job["isopleth:queue"]?.finish;
  if (!finish) return element("span", { class: "muted" }, job.finished ? clock(job.finished) : "not known");
  const span = `${clock(finish.earliest)} to ${clock(finish.latest)}, four times of five`;
  return element("span", { title: span }, `about ${clock(finish.expected)}`);
}

function cells(job) {
  const href = `${location.pathname.replace(/\/$/, "")}/${encodeURIComponent(job.jobID)}`;
  const badge = { successful: "badge good", failed: "badge bad", dismissed: "badge bad" }[job.status] ?? "badge";
  const row = [
    [
      element("a", { href: `${href}?f=html` }, element("code", {}, job.jobID)), element("br"), job.processID ?? "–",
      element("span", { class: "muted" }, job.created ? `, ${new Date(job.created).toLocaleString()}` : ""),
    ],
    [element("span", { class: badge }, job.status)],
    [element("progress", { max: 100, value: job.progress ?? 0, "aria-label": "Progress" }), ` ${job.progress ?? 0} %`],
    [String(job["isopleth:queue"]?.position ?? "–")],
    [expected(job)],
    [job.message ?? ""],
  ].map((children) => element("td", {}, ...children));
  const last = element("td");
  if (job.status !== "dismissed") {
    const what = unfinished(job) ? "Dismiss" : "Remove";
    const button = element("button", { type: "button", "aria-label": `${what} job ${job.jobID}` }, what);
    button.addEventListener("click", () => dismiss(href, job, button));
    last.append(button);
  }
  return [...row, last];
}

async function dismiss(href, job, button) {
  if (!unfinished(job) && !window.confirm("Remove the job's result?")) return;
  button.disabled = true;
  try {
    const answer = await fetch(href, { method: "DELETE", headers: { Accept: "application/json" } });
    if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
    await refresh();
  } catch {
    button.disabled = false;
    say("The job could not be dismissed.", true);
  }
}

function say(text, error = false) {
  status.textContent = text;
  status.classList.toggle("error", error);
}

/** Rows are kept by job, so that focus and selection survive; a row is rebuilt only when its job has changed. */
function show(jobs) {
  const body = table.tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.job, row]));
  for (const [place, job] of jobs.entries()) {
    const row = rows.get(job.jobID) ?? element("tr", { "data-job": job.jobID });
    rows.delete(job.jobID);
    const seen = JSON.stringify(job);
    if (row.seen !== seen) {
      const focused = row.contains(document.activeElement) && document.activeElement.tagName === "BUTTON";
      row.replaceChildren(...cells(job));
      row.seen = seen;
      if (focused) row.querySelector("button")?.focus();
    }
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  }
  for (const row of rows.values()) row.remove();
  document.querySelector("#no-jobs").hidden = jobs.length > 0;
}

async function refresh() {
  clearTimeout(timer);
  let pause = SECONDS_IDLE;
  try {
    const query = new URLSearchParams(location.search);
    query.set("f", "json");
    const answer = await fetch(`${location.pathname}?${query}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const { jobs, numberMatched } = await answer.json();
    failures = 0;
    show(jobs);
    const busy = jobs.filter(unfinished).length;
    if (busy) pause = SECONDS_BUSY;
    say(`${numberMatched} jobs; ${busy} of those shown wait or run. As of ${new Date().toLocaleTimeString()}.`);
  } catch {
    failures += 1;
    pause = Math.min(SECONDS_MOST, SECONDS_BUSY * 2 ** failures);
    say("The server does not answer; what is shown may be out of date.", true);
  }
  if (!document.hidden) timer = setTimeout(refresh, pause * 1000);
}

if (table) {
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  refresh();
}
