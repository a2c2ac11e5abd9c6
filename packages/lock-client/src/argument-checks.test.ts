import { expect, test } from 'vitest'
import { LockClient } from './lock-client.ts'

const locks = new LockClient({ url: 'http://host.invalid' })
const work = () => Promise.resolve(1)

test.each<[string, (key: string) => Promise<unknown>]>([
  ['acquire', (key) => locks.acquire(key)],
  ['tryAcquire', (key) => locks.tryAcquire(key)],
  ['once', (key) => locks.once(key, work)],
  ['wait', (key) => locks.wait(key)],
  ['poll', (key) => locks.poll(key)],
  ['forget', (key) => locks.forget(key)],
  ['ticket', async (key) => locks.ticket(key)],
])('%s() refuses a key that no server would take, without asking one', async (_name, call) => {
  for (const key of ['', '.', '..', 'a\nb', 'ü'.repeat(257), '\uD800', 7 as unknown as string]) {
    const error: unknown = await call(key).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toMatch(/^TypeError: key: .*expected/)
  }
})

test.each([
  ['timeoutMs', -1, '0 to Infinity'],
  ['timeoutMs', 1.5, '0 to Infinity'],
  ['timeoutMs', Number.NaN, '0 to Infinity'],
  ['limit', 0, '1 to 100000'],
  ['limit', 1.5, '1 to 100000'],
  ['maxHoldMs', 0, '1 to 31536000000'],
  ['maxHoldMs', Infinity, '1 to 31536000000'],
  ['retainMs', -1, '0 to 31536000000'],
  ['group', '', '1 to 512'],
])('once() refuses %s: %s', async (name, value, allowed) => {
  const error: unknown = await locks.once('k', work, { [name]: value }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  expect(String(error)).toContain(`TypeError: ${name}: expected`)
  expect(String(error)).toContain(allowed)
})
