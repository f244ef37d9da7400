// SPDX-License-Identifier: Apache-2.0
// The dashboard's page.  Text from flows is only ever put in as text nodes: whatever a name holds,
// it is never markup.
"use strict";

const ROWS_SHOWN_MAX = 200;
const PAUSED_ROWS_MAX = 200;
const AGENTS_EVERY_MS = 5000;
// Rows are drawn at most this often, however fast they come.
const DRAW_EVERY_MS = 250;

const state = {
  utc: true,
  paused: false,
  filter: [],
  rows: [],
  waiting: [],
  nPaused: 0,
  nDropped: 0,
  agents: new Map(),
  opened: new Set(), // Agents whose ledger is unfolded.
  events: null,
  drawTimer: 0,
  stored: "loading",
};

const byId = (id) => document.getElementById(id);

function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) {
    node.textContent = text;
  }
  if (className) {
    node.className = className;
  }
  return node;
}

/* ------------------------------------------------------------------------------ values as text */

const whole = new Intl.NumberFormat("en");

function number(value) {
  return value === undefined ? "unknown" : whole.format(value);
}

function bytes(value) {
  if (value === undefined) {
    return "";
  }
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function time(text, withDate) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) {
    return text || "unknown";
  }
  const zone = state.utc ? { timeZone: "UTC" } : {};
  const clock = date.toLocaleTimeString("en-GB", zone);
  const fraction = text.match(/\.(\d{3})/);
  const day = withDate ? `${date.toLocaleDateString("sv-SE", zone)} ` : "";
  return `${day}${clock}${fraction && !withDate ? `.${fraction[1]}` : ""}`;
}

function endpoint(addr, port) {
  if (addr === undefined) {
    return "–";
  }
  if (port === undefined) {
    return addr;
  }
  return addr.includes(":") ? `[${addr}]:${port}` : `${addr}:${port}`;
}

function lossText(loss) {
  const count = `${loss.estimated ? "at most " : ""}${number(loss.count)} events`;
  return `${count} missing (${loss.cause}), ${time(loss.begin, true)} to ${time(loss.end, true)}`;
}

function details(flow) {
  const parts = [];
  if (flow.loss) {
    parts.push(lossText(flow.loss));
  }
  if (flow.icmp_type !== undefined) {
    parts.push(`type ${flow.icmp_type} code ${flow.icmp_code}`);
  }
  if (flow.process_name !== undefined || flow.pid !== undefined) {
    parts.push(`${flow.process_name || "process"}${flow.pid !== undefined ? `(${flow.pid})` : ""}`);
  }
  for (const [label, key] of [["from", "src_name"], ["to", "dst_name"], ["user", "user_name"],
    ["container", "container_id"], ["rule", "rule_id"], ["", "tcp_state"]]) {
    if (flow[key] !== undefined) {
      parts.push(label ? `${label} ${flow[key]}` : flow[key]);
    }
  }
  if (flow.inferred) {
    parts.push("inferred");
  }
  return parts.join(", ");
}

/* ------------------------------------------------------------------------------ agents */

const stateClass = { connected: "good", away: "warn" };

function agentRow(agent) {
  const row = element("tr");
  const name = element("td", agent.host_name || agent.agent_id || "unknown");
  name.title = agent.agent_id || "";
  const known = element("span", agent.state || "unknown",
    `badge ${stateClass[agent.state] || ""}`);
  const stateCell = element("td");
  stateCell.append(known);
  const here = agent.state !== "away";
  row.append(name, stateCell, element("td", time(agent.last_seen, true)),
    element("td", here ? number(agent.active_flows) : "–", "number"),
    element("td", here && agent.capture_step ? agent.capture_step : "–"),
    element("td", agent.version || "unknown", "quiet"));
  return row;
}

function showAgents(agents) {
  state.agents = new Map(agents.map((agent) => [agent.agent_id, agent.host_name]));
  byId("agents").tBodies[0].replaceChildren(...agents.map(agentRow));
  byId("agents-count").textContent = agents.length > 0 ? `(${agents.length})` : "";
  byId("agents").hidden = agents.length === 0;
  const empty = byId("agents-empty");
  empty.hidden = agents.length > 0;
  empty.textContent = "No agent has connected to this collector yet. Start flowtraild on a host " +
    "with this collector's address and a token (flowtrail token create).";
}

async function getJson(path) {
  const response = await fetch(path);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(body.error ? body.error.message : `${path}: ${response.status}`);
    error.refused = response.status >= 400 && response.status < 500;
    throw error;
  }
  return body;
}

async function refreshAgents() {
  try {
    showAgents((await getJson("/api/v1/agents")).agents);
  } catch (error) {
    byId("agents").hidden = true;
    byId("agents-empty").hidden = false;
    byId("agents-empty").textContent = `The list of agents is not available: ${error.message}`;
  }
  setTimeout(refreshAgents, AGENTS_EVERY_MS);
}

/* ------------------------------------------------------------------------------ ledger */

const OTHER = ["merged", "quarantined", "damaged"];

const other = (account) => OTHER.reduce((sum, name) => sum + (account[name] || 0), 0);

function listed(object, names) {
  return names.filter((name) => object && object[name] > 0)
    .map((name) => `${name} ${number(object[name])}`).join(", ");
}

const causes = (account) => listed(account.lost_by_cause, Object.keys(account.lost_by_cause || {}));

/* 'balanced' is null where it cannot be told. */
function verdict(balanced, unaccounted) {
  if (balanced === true) {
    return { text: "balanced", className: "good" };
  }
  return balanced === false
    ? { text: `${number(unaccounted)} unaccounted for`, className: "bad" }
    : { text: "cannot be told", className: "warn" };
}

/* The instances of an agent together: the worst of their verdicts, and what they have. */
function joined(instances) {
  const account = { lost_by_cause: {} };
  for (const { account: one } of instances) {
    for (const [name, value] of Object.entries(one)) {
      if (name !== "lost_by_cause") {
        account[name] = (account[name] || 0) + value;
      }
    }
    for (const [cause, count] of Object.entries(one.lost_by_cause)) {
      account.lost_by_cause[cause] = (account.lost_by_cause[cause] || 0) + count;
    }
  }
  const verdicts = instances.map((instance) => instance.balanced);
  const balanced = verdicts.includes(false) ? false : verdicts.includes(null) ? null : true;
  return { account, balanced };
}

/* What both sides say of an instance. */
function instanceDetails(instance) {
  const box = element("dl", undefined, "sides");
  const add = (name, text, className) => {
    if (text) {
      box.append(element("dt", name), element("dd", text, className));
    }
  };
  const told = instance.agent && instance.agent.told ? ` at ${time(instance.agent.told, true)}` : "";
  add("instance", `${instance.instance_id}, ${instance.state}`, "mono");
  add("", instance.why, instance.balanced === false ? "bad" : "warn");
  add(`agent says${told}`, listed(instance.agent, ["observed", "filtered", "merged", "sealed", "sent",
    "acknowledged", "retained", "lost"]));
  add("collector has", listed(instance.collector, ["received", "duplicate", "rejected", "missing",
    "stored", "waiting", "quarantined", "damaged", "vanished"]));
  add("lost", causes(instance.account), "bad");
  return box;
}

function ledgerRows(instances) {
  const { account, balanced } = joined(instances);
  const latest = instances.find((instance) => instance.state === "connected") || instances[0];
  const id = latest.agent_id;
  const row = element("tr");
  const name = element("button", latest.host_name || id, "plain");
  name.type = "button";
  name.title = `${id}, ${instances.length} ${instances.length === 1 ? "instance" : "instances"}`;
  name.setAttribute("aria-expanded", String(state.opened.has(id)));
  const nameCell = element("td");
  nameCell.append(name);
  const lost = element("td", number(account.lost), `number ${account.lost > 0 ? "bad" : ""}`);
  lost.title = causes(account);
  const rest = element("td", number(other(account)), "number");
  rest.title = listed(account, OTHER);
  const found = verdict(balanced, account.unaccounted);
  const cell = element("td");
  cell.append(element("span", found.text, `badge ${found.className}`));
  if (latest.state !== "connected" && latest.agent && latest.agent.told) {
    cell.append(element("span", ` as of ${time(latest.agent.told, true)}`, "quiet"));
  }
  row.append(nameCell, element("td", number(account.observed), "number"),
    element("td", number(account.stored), "number"),
    element("td", number(account.retained), "number"), lost, rest, cell);
  const more = element("tr", undefined, "more");
  const moreCell = element("td");
  moreCell.colSpan = row.cells.length;
  moreCell.append(...instances.map(instanceDetails));
  more.append(moreCell);
  more.hidden = !state.opened.has(id);
  name.addEventListener("click", () => {
    more.hidden = !more.hidden;
    name.setAttribute("aria-expanded", String(!more.hidden));
    state.opened[more.hidden ? "delete" : "add"](id);
  });
  return [row, more];
}

/* Observed = stored + retained + lost, and what is rare where there is some of it. */
function showEquation(account) {
  const list = byId("account");
  list.replaceChildren();
  const terms = ["observed", "stored", "retained", "lost", ...OTHER.filter((name) => account[name] > 0)];
  if (account.unaccounted > 0) {
    terms.push("unaccounted");
  }
  terms.forEach((name, i) => {
    const box = element("div");
    const bad = (name === "lost" || name === "unaccounted") && account[name] > 0;
    const sign = ["", "= "][i] ?? (name === "unaccounted" ? "? " : "+ ");
    const value = element("dd", undefined, bad ? "bad" : "");
    value.append(element("span", sign, "quiet"), number(account[name] || 0));
    box.append(element("dt", name), value);
    list.append(box);
  });
}

function showLedger(answer) {
  const agents = new Map();
  for (const instance of answer.ledger) {
    agents.set(instance.agent_id, [...(agents.get(instance.agent_id) || []), instance]);
  }
  const { total } = answer;
  const none = total.instances === 0;
  const found = none ? { text: "no agents yet", className: "" }
    : verdict(answer.balanced, total.account.unaccounted);
  byId("ledger-verdict").textContent = found.text;
  byId("ledger-verdict").className = `badge ${found.className}`;
  showEquation(total.account);
  byId("ledger").tBodies[0].replaceChildren(...[...agents.values()].flatMap(ledgerRows));
  byId("ledger").hidden = none;
  byId("ledger-more").hidden = answer.next === undefined;
  byId("ledger-more").textContent = `${number(answer.ledger.length)} of ${number(total.instances)} ` +
    "instances; the sum is of all. The rest: flowtrail ledger.";
}

async function refreshLedger() {
  try {
    showLedger(await getJson("/api/v1/ledger"));
  } catch (error) {
    byId("ledger").hidden = true;
    byId("account").replaceChildren();
    byId("ledger-verdict").textContent = `not available: ${error.message}`;
    byId("ledger-verdict").className = "badge warn";
  }
  setTimeout(refreshLedger, AGENTS_EVERY_MS);
}

/* ------------------------------------------------------------------------------ flows */

function flowRow(flow) {
  const row = element("tr", undefined, flow.loss ? "loss" : "");
  const when = element("td", time(flow.time), "mono");
  when.title = flow.time;
  const agent = element("td", state.agents.get(flow.agent_id) || (flow.agent_id || "").slice(0, 8));
  agent.title = flow.agent_id || "";
  const text = details(flow);
  const last = element("td", text, "details");
  last.title = text;
  row.append(when, agent, element("td", flow.type, `type type-${flow.type}`),
    element("td", flow.direction === "UNKNOWN" ? "–" : flow.direction.toLowerCase()),
    element("td", flow.protocol_name || (flow.protocol === undefined ? "–" : flow.protocol)),
    element("td", endpoint(flow.src_addr, flow.src_port), "mono"),
    element("td", endpoint(flow.dst_addr, flow.dst_port), "mono"),
    element("td", bytes(flow.rx_bytes), "number"), element("td", bytes(flow.tx_bytes), "number"),
    last);
  return row;
}

function emptyText() {
  if (state.stored === "loading") {
    return "Loading…";
  }
  if (state.stored === "failed") {
    return "Stored flows are not shown, for the reason above.";
  }
  if (state.agents.size === 0) {
    return "No flows: no agent has connected yet.";
  }
  if (state.filter.length > 0) {
    return "No flow of the last hour matches the filter. New ones appear here as they come.";
  }
  return "No flows in the last hour. New ones appear here as they come.";
}

function draw() {
  state.drawTimer = 0;
  if (state.waiting.length > 0 && !state.paused) {
    state.rows = state.waiting.reverse().concat(state.rows).slice(0, ROWS_SHOWN_MAX);
    state.waiting = [];
    state.nPaused = 0;
  }
  byId("flows").tBodies[0].replaceChildren(...state.rows.map(flowRow));
  byId("flows").hidden = state.rows.length === 0;
  byId("flows-empty").hidden = state.rows.length > 0;
  byId("flows-empty").textContent = emptyText();
  const shown = state.rows.length === ROWS_SHOWN_MAX ? `latest ${ROWS_SHOWN_MAX}` : state.rows.length;
  byId("flows-count").textContent = state.rows.length > 0 ? `(${shown})` : "";
  showPaused();
}

function drawSoon() {
  if (state.drawTimer === 0) {
    state.drawTimer = setTimeout(draw, DRAW_EVERY_MS);
  }
}

function showPaused() {
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(state.paused));
  button.textContent = state.paused ? `Resume (${whole.format(state.nPaused)} new)` : "Pause";
}

function takeRow(flow) {
  state.waiting.push(flow);
  if (state.paused) {
    state.nPaused++;
    if (state.waiting.length > PAUSED_ROWS_MAX) {
      state.waiting.shift();
    }
    showPaused();
  } else {
    if (state.waiting.length > ROWS_SHOWN_MAX) {
      state.waiting.shift();
    }
    drawSoon();
  }
}

function showLink(text, className) {
  const badge = byId("link");
  badge.textContent = text;
  badge.className = `badge ${className}`;
}

function query(extra) {
  const params = new URLSearchParams(state.filter);
  for (const [name, value] of Object.entries(extra)) {
    params.append(name, value);
  }
  const text = params.toString();
  return text ? `?${text}` : "";
}

function openLive() {
  if (state.events) {
    state.events.close();
  }
  const events = new EventSource(`/api/v1/live${query({})}`);
  state.events = events;
  events.onopen = () => showLink("live", "good");
  events.onmessage = (event) => takeRow(JSON.parse(event.data));
  events.addEventListener("dropped", (event) => {
    state.nDropped += JSON.parse(event.data).count;
    byId("dropped").hidden = false;
    byId("dropped").textContent = `${number(state.nDropped)} live flows were left out because ` +
      "they came too fast to show. They are stored: narrow the filter, or export.";
  });
  events.onerror = () => {
    // A closed stream was refused (too many, or the filter); an open one comes back by itself.
    const refused = events.readyState === EventSource.CLOSED;
    showLink(refused ? "no live stream" : "reconnecting", refused ? "bad" : "warn");
    if (refused) {
      setTimeout(() => state.events === events && openLive(), AGENTS_EVERY_MS);
    }
  };
}

async function loadStored() {
  state.stored = "loading";
  draw();
  try {
    const page = await getJson(`/api/v1/flows${query({ limit: 100 })}`);
    // Rows that came live meanwhile stay in front; those that are in both appear once.
    const key = (flow) => `${flow.instance_id}/${flow.seq}`;
    const known = new Set(state.rows.map(key));
    state.rows = state.rows.concat(page.flows.filter((flow) => !known.has(key(flow))));
    byId("filter-error").hidden = true;
  } catch (error) {
    byId("filter-error").hidden = false;
    byId("filter-error").textContent = error.message;
    state.stored = "failed";
    // A filter that the query refuses the live stream refuses too: it is not asked for ever.
    if (error.refused && state.events) {
      state.events.close();
      state.events = null;
      showLink("no live stream", "bad");
    }
    draw();
    return;
  }
  state.stored = "loaded";
  draw();
}

// "type=end addr=10.0.0.0/8": names and values divided by spaces; a value may stand in quotes.
function parseFilter(text) {
  const pairs = [];
  for (const match of text.matchAll(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g)) {
    pairs.push([match[1], match[2] !== undefined ? match[2] : match[3]]);
  }
  const rest = text.replace(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g, "").trim();
  if (rest) {
    throw new Error(`"${rest}" is no COLUMN=VALUE`);
  }
  return pairs;
}

function applyFilter(text) {
  try {
    state.filter = parseFilter(text);
  } catch (error) {
    byId("filter-error").hidden = false;
    byId("filter-error").textContent = error.message;
    return;
  }
  const hash = new URLSearchParams(text ? { filter: text } : {}).toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  state.rows = [];
  state.waiting = [];
  state.nPaused = 0;
  state.nDropped = 0;
  byId("dropped").hidden = true;
  byId("export-csv").href = `/api/v1/flows${query({ format: "csv" })}`;
  byId("export-ndjson").href = `/api/v1/flows${query({ format: "ndjson" })}`;
  openLive();
  loadStored();
}

function start() {
  byId("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    applyFilter(byId("filter-text").value);
  });
  byId("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    draw();
  });
  byId("clock").addEventListener("click", () => {
    state.utc = !state.utc;
    byId("clock").textContent = state.utc ? "UTC" : "Local time";
    draw();
  });
  getJson("/version").then((version) => {
    byId("version").textContent = version.version;
  }).catch(() => {});
  const text = new URLSearchParams(location.hash.slice(1)).get("filter") || "";
  byId("filter-text").value = text;
  refreshAgents();
  refreshLedger();
  applyFilter(text);
}

start();
