import { hash } from '@node-rs/bcrypt'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { PasswordCheck } from './password-check.ts'
import { parseUsers } from './users.ts'

const users = parseUsers([`ann:${await hash('secret', { cost: 4 })}`, `bob:${await hash('other', { cost: 4 })}`])
const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString('base64')}`
const right = basic('ann:secret')

/** Stands for bcrypt: the password `secret` is right, whosever hash it is. */
const compare = vi.fn<(password: string, hash: string) => Promise<boolean>>()
let check: PasswordCheck

beforeEach(() => {
  compare.mockReset()
  compare.mockImplementation((password) => Promise.resolve(password === 'secret'))
  check = new PasswordCheck(users, compare)
})

/** Has the next comparison take until it is told what comes of it. */
function holdNext(): (isRight: boolean) => void {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  compare.mockReturnValueOnce(promise)
  return resolve
}

describe('a password', () => {
  test.each([
    ['right', right, true],
    ['wrong', basic('ann:wrong'), false],
  ])('that is %s is compared once, however many ask and how often', async (_what, authorization, expected) => {
    const found = await Promise.all(Array.from({ length: 50 }, () => check.accepts(authorization)))
    found.push(await check.accepts(authorization))
    expect(new Set(found)).toEqual(new Set([expected]))
    expect(compare).toHaveBeenCalledTimes(1)
  })

  test('of a user who is not known is compared all the same, and refused whatever comes of it', async () => {
    expect(await check.accepts(basic('nobody:secret'))).toBe(false)
    expect(compare).toHaveBeenCalledTimes(1)
    expect([...users.values()]).toContain(compare.mock.calls[0]![1])
  })

  test('is compared one at a time, and users who are known do not wait for that', async () => {
    await check.accepts(right)
    compare.mockClear()
    const open = holdNext()
    const guesses = Array.from({ length: 20 }, (_, guess) => check.accepts(basic(`ann:${guess}`)))
    expect(await check.accepts(right)).toBe(true)
    expect(compare).toHaveBeenCalledTimes(1)
    open(false)
    expect(await Promise.all(guesses)).toEqual(guesses.map(() => false))
    expect(compare).toHaveBeenCalledTimes(20)
  })

  test('is not waited for without bound', async () => {
    await check.accepts(right)
    const open = holdNext()
    const guesses = Array.from({ length: 200 }, (_, guess) => check.accepts(basic(`ann:${guess}`)))
    await expect(check.accepts(basic('ann:one more'))).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      retryAfterMs: 1_000,
    })
    expect(await check.accepts(right)).toBe(true)
    open(false)
    expect(await Promise.all(guesses)).toEqual(guesses.map(() => false))
    expect(await check.accepts(basic('ann:one more'))).toBe(false)
  })

  test('that could not be compared is compared anew by the next who asks', async () => {
    compare.mockRejectedValueOnce(new Error('no thread'))
    await expect(check.accepts(right)).rejects.toThrow('no thread')
    expect(await check.accepts(right)).toBe(true)
  })
})

test('bcrypt compares where nothing else is said', async () => {
  const real = new PasswordCheck(users)
  expect(await real.accepts(basic('bob:other'))).toBe(true)
  expect(await real.accepts(basic('bob:secret'))).toBe(false)
})
