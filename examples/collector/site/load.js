// Before analytics.js: where it finds the parts of itself that it loads later.
window.analytics = { _cdn: location.origin };
