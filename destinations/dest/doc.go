// Package dest is what adapters share: reading events, writing JSON, settings, hooks
// and requests. An adapter of a third party may use it or not; the contract is in the
// root package.
//
// An adapter translates with [Table] rows where fields are flat, and with code where
// they have a structure; it writes its item with [JSON] and hands it to
// [Hooks.Apply]. It talks through [Client], whose [Answer] knows the words of the
// contract.
//
// What is read from an event is never trusted to have the type that the spec gives it:
// a [Value] says what it is, and a value that a tool cannot take is left out while the
// event goes on.
package dest
