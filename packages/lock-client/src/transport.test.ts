import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createCertificate } from '../../../test/support/src/certificate.ts'
import { LockServer, MemoryLockStore } from '../../lock-server/src/index.ts'
import { TryTimeoutError } from './exchange.ts'
import { LockClient } from './lock-client.ts'
import { FetchTransport } from './transport.ts'

const REQUEST = { method: 'GET', url: 'http://host/', headers: {}, body: undefined, signal: undefined } as const

/** Ways to ignore the signal. */
const DEAF: readonly [string, () => Promise<Response>][] = [
  ['that never answers', () => new Promise<never>(() => undefined)],
  ['whose body never ends', () => Promise.resolve(new Response(new ReadableStream()))],
]

test.each(DEAF)('FetchTransport keeps to its time limit with a fetch %s', async (_what, fetch) => {
  const sending = new FetchTransport(fetch).send({ ...REQUEST, timeoutMs: 20 })
  await expect(sending).rejects.toBeInstanceOf(TryTimeoutError)
})

test.each(DEAF)('FetchTransport keeps to its signal with a fetch %s', async (_what, fetch) => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const sending = new FetchTransport(fetch).send({ ...REQUEST, signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await expect(sending).rejects.toBe(reason)
})

test.each(DEAF)('FetchTransport ends a stream of a fetch %s with its signal', async (_what, fetch) => {
  const controller = new AbortController()
  const reason = new Error('enough')
  setImmediate(() => controller.abort(reason))
  const reading = async () => {
    const stream = await new FetchTransport(fetch).stream({ ...REQUEST, signal: controller.signal })
    for await (const chunk of stream.body) throw new Error(`${chunk.length} bytes came out of nothing`)
  }
  await expect(reading()).rejects.toBe(reason)
})

test('FetchTransport lets go of an answer that came when nobody waited any more', async () => {
  const controller = new AbortController()
  const { promise: answer, resolve } = Promise.withResolvers<Response>()
  const { promise: cancelled, resolve: cancel } = Promise.withResolvers<void>()
  const sending = new FetchTransport(() => answer).send({ ...REQUEST, signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(sending).rejects.toThrow('enough')
  resolve(new Response(new ReadableStream({ cancel: () => cancel() })))
  await expect(cancelled).resolves.toBeUndefined()
})

test('ca names the authorities that a client trusts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'layerlock-tls-'))
  try {
    const { cert, key } = await createCertificate(folder)
    const store = new MemoryLockStore()
    await using server = await LockServer.start({ host: '127.0.0.1', port: 0, store, tls: { cert, key } })
    await using trusting = new LockClient({ url: server.url, ca: cert })
    expect(await trusting.acquire('k')).toMatchObject({ held: true })
    await using other = new LockClient({ url: server.url, unavailableTimeoutMs: 0 })
    await expect(other.poll('k')).rejects.toMatchObject({ code: 'unavailable' })
  } finally {
    await rm(folder, { recursive: true })
  }
})
