// Package webhook takes what GitLab sends over HTTP and has it stored before it
// answers.
//
// Its rules:
//
//   - In this order: path and method, size, what can be verified without the body,
//     room in memory, the body, the signature, the shape, the token's path, the
//     store. What fails is answered there and goes no further.
//   - A 2xx says that the event is stored, and nothing else does. A redirect would
//     pass for success with GitLab, so there is none.
//   - It decides nothing: a kind that nobody knows is stored and answered 2xx.
//   - Memory is bounded by the bytes of the bodies in it. Who finds no room, or
//     whose store is away, waits a few seconds and is then told to come back. Callers
//     that sign have proved nothing before their body is there: each has room for
//     what it has sent, and all of them share half of the memory. A body that comes
//     too slowly ends.
//   - Who is refused gets the answer also when a large body is under way: what still
//     comes is thrown away, within bounds, before the connection ends.
//   - A body is read once into memory of its own size, scanned once and handed to
//     the store as it came; of its values only a dozen are ever decoded.
//   - What a body says of itself is not believed beyond what its sender proved: a
//     token for one project stores events of that project alone, without the
//     numeric id that the body claims; and a host that is not configured stays in
//     [store.Event].Instance as it was seen, never equal to a configured one, so
//     that whoever looks up a token by it finds none.
package webhook
