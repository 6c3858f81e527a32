// Sends messages with @segment/analytics-node. What to do comes on standard input:
//
//   {"host": "http://127.0.0.1:1234", "writeKey": "…", "gzip": false, "messages": […]}
//
// The messages are as in the Tracking API. At the end it prints what became of them:
//
//   {"sent": 2, "failures": ["m-0002: [400] Bad Request"]}
import { gzipSync } from 'node:zlib'
import { text } from 'node:stream/consumers'
import { Analytics } from '@segment/analytics-node'

const { host, writeKey, gzip, messages } = JSON.parse(await text(process.stdin))

// The client does not compress; a fetch of one's own can.
const zipped = (url, init) =>
  fetch(url, { ...init, body: gzipSync(init.body), headers: { ...init.headers, 'Content-Encoding': 'gzip' } })

const analytics = new Analytics({
  host,
  writeKey,
  maxRetries: 10,
  flushInterval: 200,
  ...(gzip && { httpClient: zipped }),
})

let sent = 0
const failures = []
analytics.on('error', (error) => failures.push(`client: ${error.code}`))
for (const { type, timestamp, ...message } of messages) {
  analytics[type]({ ...message, ...(timestamp && { timestamp: new Date(timestamp) }) }, (error, ctx) => {
    const failure = error ?? ctx.failedDelivery()?.reason
    if (failure) failures.push(`${message.messageId}: ${failure}`)
    else sent++
  })
}
await analytics.closeAndFlush({ timeout: 60_000 })
console.log(JSON.stringify({ sent, failures }))
