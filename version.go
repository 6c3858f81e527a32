package analytics

// Version is the version of this library, as in context.library and User-Agent.
const Version = "0.1.0"

const libraryName = "tributary-go"
