import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { batches } from './batches.ts'

const KIB = 1024

async function nextBytes(reading: AsyncGenerator<readonly Buffer[], void>): Promise<string> {
  const { value } = await reading.next()
  return Buffer.concat(value ?? []).toString()
}

test('batches() gives out all that has come since the last batch, in its order', async () => {
  const body = new PassThrough()
  const reading = batches(body)
  const first = nextBytes(reading)
  body.write('a')
  expect(await first).toBe('a')
  for (const text of ['b', 'c', 'd']) body.write(text)
  body.end('e')
  let rest = ''
  for await (const batch of reading) rest += Buffer.concat(batch).toString()
  expect(rest).toBe('bcde')
})

test('batches() gives out what came before a body breaks off, and then what it broke off with', async () => {
  const body = new PassThrough({ highWaterMark: 1024 * KIB })
  const reading = batches(body)
  const first = nextBytes(reading)
  body.write('first')
  expect(await first).toBe('first')
  body.write('second')
  body.destroy(new Error('the cable was pulled'))
  expect(await nextBytes(reading)).toBe('second')
  await expect(reading.next()).rejects.toThrow('the cable was pulled')
})

test('batches() gives out what a body has in its own buffer when it breaks off while it is made to wait', async () => {
  const body = new PassThrough({ highWaterMark: 1024 * KIB })
  const reading = batches(body)
  const first = nextBytes(reading)
  body.write('x')
  expect(await first).toBe('x')
  body.write(Buffer.alloc(256 * KIB))
  expect(body.isPaused()).toBe(true)
  body.write('the last')
  expect(body.readableLength).toBe(8)
  const closed = new Promise((resolve) => body.once('close', resolve))
  body.destroy(new Error('the cable was pulled'))
  await closed
  const rest = await nextBytes(reading)
  expect({ length: rest.length, end: rest.slice(-8) }).toEqual({ length: 256 * KIB + 8, end: 'the last' })
  await expect(reading.next()).rejects.toThrow('the cable was pulled')
})

test('batches() fails when a body is closed without an end', async () => {
  const body = new PassThrough()
  const next = batches(body).next()
  body.destroy()
  await expect(next).rejects.toThrow('closed')
})

test('batches() fails when a body has failed before anybody listened', async () => {
  const body = new PassThrough()
  body.once('error', () => undefined)
  body.destroy(new Error('the cable was pulled'))
  await new Promise((resolve) => body.once('close', resolve))
  await expect(batches(body).next()).rejects.toThrow('the cable was pulled')
})

test('batches() fails when a body was closed before anybody listened', async () => {
  const body = new PassThrough()
  body.destroy()
  await new Promise((resolve) => body.once('close', resolve))
  await expect(batches(body).next()).rejects.toThrow('closed')
})

test('batches() makes the sender wait when nobody takes what has come', async () => {
  const body = new PassThrough({ highWaterMark: 64 * KIB })
  const reading = batches(body)
  const first = reading.next()
  body.write('x')
  await first
  let sent = 0
  // Until a write says that it is enough, for good: that it would be taken away is what `drain` would say.
  for (let isTaken = true; isTaken && sent < 10_000 * KIB; sent += 64 * KIB) {
    isTaken = body.write(Buffer.alloc(64 * KIB)) || !body.isPaused()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(body.isPaused()).toBe(true)
  expect(sent).toBeLessThan(1_000 * KIB)
  body.end()
  let received = 0
  for await (const batch of reading) received += batch.reduce((sum, chunk) => sum + chunk.length, 0)
  expect(received).toBe(sent)
})
