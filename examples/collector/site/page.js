const { script, events, writeKey, pixel } = document.body.dataset;

// Both have the same calls, and both are here for the console too.
window.analytics =
  script === "analytics.js"
    ? AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: events })
    : new Analytics(events, writeKey);
analytics.page();

const calls = {
  identify: ({ userId, ...traits }) => analytics.identify(userId, traits),
  track: ({ event, product, price }) => analytics.track(event, { product, price: Number(price) }),
  page: ({ category, name }) => analytics.page(category, name),
  group: ({ groupId, ...traits }) => analytics.group(groupId, traits),
  alias: ({ userId, previousId }) => analytics.alias(userId, previousId),
  other: ({ what }) => others[what](),
};

const others = {
  pixel: () => (new Image().src = pixel),
  leave: async () => {
    // Of analytics.js, a call may be lost if the page goes before it was sent. Ours has
    // nothing to wait for.
    await analytics.track("Page Left");
    location.reload();
  },
  forget: async () => {
    await analytics.reset();
    location.reload();
  },
};

for (const form of document.forms) {
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    calls[form.dataset.call](Object.fromEntries(new FormData(form, e.submitter)));
  });
}

// What arrived, newest first.
const list = document.getElementById("list");
const shown = 200;
const stream = new EventSource("/live");
stream.onopen = () => (document.getElementById("state").textContent = "live");
stream.onerror = () => (document.getElementById("state").textContent = "connecting");
stream.addEventListener("message", (e) => show(JSON.parse(e.data)));
stream.addEventListener("counters", (e) => {
  for (const [name, n] of Object.entries(JSON.parse(e.data))) {
    document.getElementById(name).textContent = n;
  }
});

function show(message) {
  const card = document.getElementById("card").content.cloneNode(true).firstElementChild;
  const { library = {}, ip } = message.context || {};
  card.dataset.type = message.type;
  card.querySelector(".type").textContent = message.type;
  card.querySelector("strong").textContent = message.event || message.name || message.groupId || message.userId || "";
  card.querySelector("time").textContent = new Date(message.receivedAt).toLocaleTimeString("en-GB");
  const facts = {
    userId: message.userId,
    anonymousId: message.anonymousId,
    groupId: message.groupId,
    previousId: message.previousId,
    receivedAt: message.receivedAt,
    library: library.name && `${library.name} ${library.version}`,
    ip,
    messageId: message.messageId,
  };
  for (const [name, value] of Object.entries(facts)) {
    if (value) card.querySelector("dl").append(fact(name, value));
  }
  card.querySelector("pre").textContent = JSON.stringify(message, null, 2);
  list.prepend(card);
  if (list.children.length > shown) list.lastElementChild.remove();
  document.getElementById("messages").textContent = list.children.length;
  document.getElementById("empty").hidden = true;
}

function fact(name, value) {
  const pair = document.createElement("div");
  for (const [tag, text] of [["dt", name], ["dd", value]]) {
    pair.append(Object.assign(document.createElement(tag), { textContent: text }));
  }
  return pair;
}
