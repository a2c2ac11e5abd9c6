import type { Readable } from 'node:stream'

/** As much of a body as is held in memory before its sender is made to wait, in bytes. */
const MAX_QUEUED_BYTES = 256 * 1024

/**
 * Reads a body in batches: whatever has come since the last one was asked for. So a slow disk costs one write for many
 * chunks, and the connection is drained meanwhile. When the body breaks off, what came before is still given out first;
 * a stream's own iterator would throw that away, and it would have to be fetched again.
 *
 * @throws what the body fails with, after its last bytes
 */
export async function* batches(body: Readable): AsyncGenerator<readonly Buffer[], void> {
  let queued: Buffer[] = []
  let queuedBytes = 0
  let end: { readonly error: Error | undefined } | undefined
  let wake = () => undefined as void
  const queue = (chunk: Buffer) => {
    queued.push(chunk)
    queuedBytes += chunk.length
  }
  const finish = (error: Error | undefined) => {
    // A body that was made to wait when it broke off still has some in its own buffer, and no event will tell.
    for (let chunk; (chunk = body.read() as Buffer | null) !== null;) queue(chunk)
    end ??= { error }
    wake()
  }
  body.on('data', (chunk: Buffer) => {
    queue(chunk)
    if (queuedBytes >= MAX_QUEUED_BYTES) body.pause()
    wake()
  })
  body.once('end', () => finish(undefined))
  body.once('error', finish)
  body.once('close', () => finish(new Error('the connection was closed')))
  // It may have failed before anybody listened.
  if (body.errored !== null) finish(body.errored)
  else if (body.destroyed) finish(new Error('the connection was closed'))
  for (;;) {
    if (queued.length > 0) {
      const batch = queued
      queued = []
      queuedBytes = 0
      body.resume()
      yield batch
    } else if (end !== undefined) {
      if (end.error !== undefined) throw end.error
      return
    } else {
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
}
