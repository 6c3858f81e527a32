package webhook

// OnlyPublic is the guard of DenyPrivate. Tests ask it for addresses that they must not
// connect to, should it ever let them through.
var OnlyPublic = onlyPublic
