// What stands in for analytics.js where npm has not installed it: the same calls, the
// same cookies, the same API. Each message goes by fetch as soon as the call is made;
// those without an answer when the page goes are sent once more, by sendBeacon in a batch,
// and the server accepts each messageId once.
class Analytics {
  constructor(events, writeKey) {
    this.events = events;
    this.writeKey = writeKey;
    this.unanswered = new Map();
    addEventListener("pagehide", () => this.sendRest());
  }

  identify(userId, traits = {}) {
    setCookie("ajs_user_id", userId);
    this.send("identify", { traits });
  }
  track(event, properties = {}) {
    this.send("track", { event, properties });
  }
  page(category, name, properties = {}) {
    this.send("page", { category, name, properties: { ...pageFacts(), name, category, ...properties } });
  }
  group(groupId, traits = {}) {
    this.send("group", { groupId, traits });
  }
  alias(userId, previousId = getCookie("ajs_user_id") || this.anonymousId()) {
    this.send("alias", { userId, previousId });
  }
  reset() {
    setCookie("ajs_user_id", "");
    setCookie("ajs_anonymous_id", "");
  }

  anonymousId() {
    const id = getCookie("ajs_anonymous_id") || crypto.randomUUID();
    setCookie("ajs_anonymous_id", id);
    return id;
  }

  async send(type, fields) {
    const message = {
      type,
      messageId: "own-" + crypto.randomUUID(),
      timestamp: new Date(),
      anonymousId: this.anonymousId(),
      userId: getCookie("ajs_user_id"),
      context: {
        library: { name: "own.js", version: "1" },
        page: pageFacts(),
        userAgent: navigator.userAgent,
        locale: navigator.language,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      },
      ...fields,
    };
    this.unanswered.set(message.messageId, message);
    const answer = await fetch(`${this.events}/v1/${type}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Basic " + btoa(this.writeKey + ":") },
      body: JSON.stringify({ ...message, sentAt: new Date() }),
    });
    if (answer.status < 500 && answer.status !== 429) {
      this.unanswered.delete(message.messageId);
    }
  }

  sendRest() {
    if (this.unanswered.size > 0) {
      // Text, not JSON: nobody would be there any more to have a preflight answered.
      const body = { writeKey: this.writeKey, sentAt: new Date(), batch: [...this.unanswered.values()] };
      navigator.sendBeacon(`${this.events}/v1/batch`, new Blob([JSON.stringify(body)], { type: "text/plain" }));
    }
  }
}

function pageFacts() {
  const { pathname: path, search, href } = location;
  return { path, search, url: href.replace(/#.*/, ""), title: document.title, referrer: document.referrer };
}

function getCookie(name) {
  const found = document.cookie.split("; ").find((c) => c.startsWith(name + "="));
  return found && decodeURIComponent(found.slice(name.length + 1));
}

function setCookie(name, value) {
  const age = value ? 365 * 24 * 3600 : 0;
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${age}; samesite=lax`;
}
